import type { Counter } from "../../core/counter.ts";
import { QUERIES_MAX, SERIES_BUCKETS_MAX, TIME_MAX_MS } from "../../core/limits.ts";
import { bucketCeil, bucketStart, type Window } from "../../core/window.ts";
import { CommandFailure } from "../replay/io.ts";
import type { SeriesQuery, Service } from "../service.ts";

/** One bucket of one key that holds anything. */
export interface ExportRow {
  /** One value a `by` field; `null` for the keys refused by keysMax, together. */
  readonly key: readonly string[] | null;
  /** RFC 3339. */
  readonly start: string;
  /** A decimal string beyond 2^53−1, here and in sums. */
  readonly count: number | string;
  readonly sum?: number | string;
  readonly unique?: number;
  readonly final: boolean;
}

export interface ExportSpan {
  readonly window: Window;
  /** Epoch milliseconds; whole buckets are meant. */
  readonly from: number;
  readonly to: number;
}

/** Buckets asked for by one request: an answer of a few megabytes at most. */
const BUCKETS_AT_ONCE = 20_000;
/** Characters of keys in one request: one of U+0000 takes six bytes of JSON, and the service takes 8 MiB. */
const CHARACTERS_AT_ONCE = 1024 * 1024;

/** The rows of all keys, key by key in byte order, then those of the refused keys; calls `onKey` after each key. */
export async function* readRows(
  service: Service,
  counter: Counter,
  span: ExportSpan,
  onKey: () => void,
): AsyncGenerator<ExportRow[]> {
  const request = new PendingRequest();
  for await (const subject of subjects(service, counter)) {
    for (const piece of piecesOf(span)) {
      const query = { counter: counter.name, feed: "series", window: span.window.label, ...piece, ...subject } as const;
      if (!request.hasRoom(query, span.window)) yield await readSeries(service, request.take());
      request.add(query, span.window);
    }
    onKey();
  }
  if (request.size > 0) yield await readSeries(service, request.take());
}

/** Queries that go into one request. */
class PendingRequest {
  #queries: SeriesQuery[] = [];
  #buckets = 0;
  #characters = 0;

  get size(): number {
    return this.#queries.length;
  }

  hasRoom(query: SeriesQuery, window: Window): boolean {
    if (this.size === 0) return true;
    const buckets = this.#buckets + bucketsOf(query, window);
    const characters = this.#characters + charactersOf(query);
    return this.size < QUERIES_MAX && buckets <= BUCKETS_AT_ONCE && characters <= CHARACTERS_AT_ONCE;
  }

  add(query: SeriesQuery, window: Window): void {
    this.#queries.push(query);
    this.#buckets += bucketsOf(query, window);
    this.#characters += charactersOf(query);
  }

  take(): SeriesQuery[] {
    const queries = this.#queries;
    [this.#queries, this.#buckets, this.#characters] = [[], 0, 0];
    return queries;
  }
}

const bucketsOf = ({ from, to }: SeriesQuery, window: Window): number => Math.ceil((to - from) / window.ms);
const charactersOf = ({ key }: SeriesQuery): number => key?.reduce((sum, { length }) => sum + length, 0) ?? 0;

type Subject = { readonly key: readonly string[] } | { readonly other: true };

async function* subjects(service: Service, counter: Counter): AsyncGenerator<Subject> {
  for await (const key of service.keys(counter.name)) yield { key };
  if (counter.by.length > 0) yield { other: true };
}

/** The span in pieces that one series may hold; one at a time, since seconds of many years are many. */
function* piecesOf({ window, from, to }: ExportSpan): Generator<{ from: number; to: number }> {
  const step = SERIES_BUCKETS_MAX * window.ms;
  // The last bucket of the year 9999 ends after the last time that can be asked for; the service widens it again.
  const end = Math.min(bucketCeil(to, window.ms), TIME_MAX_MS);
  for (let at = bucketStart(from, window.ms); at < end; at += step) yield { from: at, to: Math.min(end, at + step) };
}

async function readSeries(service: Service, queries: readonly SeriesQuery[]): Promise<ExportRow[]> {
  const answers = await service.query(queries);
  return answers.flatMap((answer, i) => {
    const { key = null } = queries[i] as SeriesQuery;
    // Some of the queries may have failed while others were answered.
    if (!Array.isArray(answer.buckets)) {
      throw new CommandFailure(`a series of ${JSON.stringify(queries[i])} was answered with: ${answer.detail}`);
    }
    const buckets = answer.buckets as Omit<ExportRow, "key">[];
    return buckets.filter(({ count }) => count !== 0).map((bucket) => ({ key, ...bucket }));
  });
}
