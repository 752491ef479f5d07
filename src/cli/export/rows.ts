import type { Counter } from "../../core/counter.ts";
import { SERIES_BUCKETS_MAX } from "../../core/limits.ts";
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
  /** Epoch milliseconds, whole buckets. */
  readonly from: number;
  readonly to: number;
}

/** Buckets asked for by one request: an answer of a few megabytes at most. */
const BUCKETS_AT_ONCE = 20_000;

/** The rows of all keys, key by key in byte order, then those of the refused keys; calls `onKey` after each key. */
export async function* readRows(
  service: Service,
  counter: Counter,
  span: ExportSpan,
  onKey: () => void,
): AsyncGenerator<ExportRow[]> {
  const pieces = piecesOf(span);
  const atOnce = Math.max(1, Math.floor(BUCKETS_AT_ONCE / bucketsOf(pieces[0] as ExportSpan)));
  let queries: SeriesQuery[] = [];
  for await (const subject of subjects(service, counter)) {
    for (const piece of pieces) {
      queries.push(queryOf(counter, subject, piece));
      if (queries.length < atOnce) continue;
      yield await readSeries(service, queries);
      queries = [];
    }
    onKey();
  }
  if (queries.length > 0) yield await readSeries(service, queries);
}

type Subject = { readonly key: readonly string[] } | { readonly other: true };

async function* subjects(service: Service, counter: Counter): AsyncGenerator<Subject> {
  for await (const key of service.keys(counter.name)) yield { key };
  if (counter.by.length > 0) yield { other: true };
}

/** The span in pieces that one series may hold. */
function piecesOf({ window, from, to }: ExportSpan): ExportSpan[] {
  const pieces: ExportSpan[] = [];
  const step = SERIES_BUCKETS_MAX * window.ms;
  const [start, end] = [bucketStart(from, window.ms), bucketCeil(to, window.ms)];
  for (let at = start; at < end; at += step) pieces.push({ window, from: at, to: Math.min(end, at + step) });
  return pieces;
}

const bucketsOf = ({ window, from, to }: ExportSpan): number => (to - from) / window.ms;

function queryOf(counter: Counter, subject: Subject, { window, from, to }: ExportSpan): SeriesQuery {
  return { counter: counter.name, feed: "series", window: window.label, from, to, ...subject };
}

async function readSeries(service: Service, queries: readonly SeriesQuery[]): Promise<ExportRow[]> {
  const answers = await service.query(queries);
  return answers.flatMap((answer, i) => {
    const { key = null } = queries[i] as { key?: readonly string[] };
    // Some of the queries may have failed while others were answered.
    if (!Array.isArray(answer.buckets)) throw new CommandFailure(`the service answered: ${answer.detail}`);
    const buckets = answer.buckets as Omit<ExportRow, "key">[];
    return buckets.filter(({ count }) => count !== 0).map((bucket) => ({ key, ...bucket }));
  });
}
