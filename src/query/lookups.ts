import { type Cell, readSeries, readSums, sumCells } from "../buckets/cells.ts";
import { type CounterTime, readCounterTime } from "../buckets/clocks.ts";
import { Sketches } from "../buckets/sketches.ts";
import type { Counter } from "../core/counter.ts";
import { showCount, showSum } from "../core/decimal.ts";
import { decodeKey } from "../core/key.ts";
import { SERIES_BUCKETS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import { formatTime } from "../core/time.ts";
import type { Range, Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { CellOwner, PartitionKeys } from "../redis/keys.ts";
import type { SeriesRequest, TopRequest, ValueRequest } from "./request.ts";
import { planSpan, resolveSpan, type Span } from "./span.ts";
import { rankKeys } from "./top.ts";

export interface Numbers {
  readonly count: number | string;
  readonly sum?: number | string;
  readonly unique?: number;
}

export interface SpanAnswer {
  readonly counter: string;
  readonly from: string;
  readonly to: string;
  readonly watermark: string | null;
  readonly final: boolean;
}

export interface ValueAnswer extends SpanAnswer, Numbers {
  readonly key: string[] | null;
  readonly other?: true;
}

export interface SeriesAnswer extends ValueAnswer {
  readonly window: string;
  readonly buckets: (Numbers & { readonly start: string; readonly final: boolean })[];
}

export interface TopAnswer extends SpanAnswer {
  readonly top: (Numbers & { readonly key: string[] })[];
}

export interface LookupsDependencies {
  readonly client: RedisClient;
  readonly partitions: readonly PartitionKeys[];
  readonly isCluster: boolean;
  readonly now: () => number;
}

/** Answers lookups from Redis, merged over all partitions. */
export class Lookups {
  readonly #deps: LookupsDependencies;
  readonly #sketches: Sketches;

  constructor(deps: LookupsDependencies) {
    this.#deps = deps;
    this.#sketches = new Sketches(deps.client, deps.partitions, deps.isCluster);
  }

  /** Event time is always read before cells: what is final by it was final when the cells were read. */
  time(counter: Counter): Promise<CounterTime | null> {
    return readCounterTime(this.#deps.client, this.#deps.partitions, counter);
  }

  async value({ counter, subject, span: request }: ValueRequest): Promise<ValueAnswer> {
    const time = await this.time(counter);
    const span = resolveSpan(request, counter.windows[0] as Window, time, this.#deps.now());
    const ranges = planSpan(counter, span, time);
    const [[cell], unique] = await Promise.all([
      this.#sums(counter, [subject.owner], ranges),
      counter.unique ? this.#sketches.countUnion(counter, subject.owner, ranges) : undefined,
    ]);
    return { ...head(counter, span, time), ...subject.shown, ...numbers(counter, cell as Cell, unique) };
  }

  async series({ counter, subject, span: request, window }: SeriesRequest): Promise<SeriesAnswer> {
    const time = await this.time(counter);
    const span = resolveSpan(request, window, time, this.#deps.now());
    if ((span.to - span.from) / window.ms > SERIES_BUCKETS_MAX) {
      const detail = `the span holds more than ${SERIES_BUCKETS_MAX} buckets of ${window.label}; ask for less or a wider window`;
      throw new Problem("invalid_span", detail);
    }
    const range: Range = { window, ...span };
    const { client, partitions } = this.#deps;
    const [cells, uniques, unique] = await Promise.all([
      readSeries(client, partitions, counter, subject.owner, range),
      counter.unique ? this.#sketches.countSeries(counter, subject.owner, range) : [],
      counter.unique ? this.#sketches.countUnion(counter, subject.owner, planSpan(counter, span, time)) : undefined,
    ]);
    const buckets = cells.map((cell, i) => {
      const start = span.from + i * window.ms;
      return {
        start: formatTime(start),
        ...numbers(counter, cell, uniques[i]),
        final: isFinal(time, start + window.ms),
      };
    });
    return {
      ...head(counter, span, time),
      ...subject.shown,
      ...numbers(counter, sumCells(cells), unique),
      window: window.label,
      buckets,
    };
  }

  async top({ counter, span: request, limit, by }: TopRequest): Promise<TopAnswer> {
    const time = await this.time(counter);
    const span = resolveSpan(request, counter.windows[0] as Window, time, this.#deps.now());
    const ranges = planSpan(counter, span, time);
    const ranked = await rankKeys({ ...this.#deps, counter, ranges, limit, by });
    const top = ranked.map(({ key, cell }) => ({ key: decodeKey(key, counter.by.length), ...numbers(counter, cell) }));
    return { ...head(counter, span, time), top };
  }

  #sums(counter: Counter, owners: readonly CellOwner[], ranges: readonly Range[]): Promise<Cell[]> {
    return readSums(this.#deps.client, this.#deps.partitions, counter, owners, ranges);
  }
}

function head(counter: Counter, span: Span, time: CounterTime | null): SpanAnswer {
  return {
    counter: counter.name,
    from: formatTime(span.from),
    to: formatTime(span.to),
    watermark: time && formatTime(time.watermark),
    final: isFinal(time, span.to),
  };
}

function isFinal(time: CounterTime | null, end: number): boolean {
  return time !== null && time.closed >= end;
}

function numbers(counter: Counter, cell: Cell, unique?: number): Numbers {
  return {
    count: showCount(cell.count),
    ...(counter.sum && { sum: showSum(cell.micro) }),
    ...(unique !== undefined && { unique }),
  };
}
