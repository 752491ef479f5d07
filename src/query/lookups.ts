import { type Cell, type Row, sumCells } from "../buckets/cells.ts";
import { type CounterState, type CounterTime, goneTo } from "../buckets/state.ts";
import { type Counter, finestOf } from "../core/counter.ts";
import { showCount, showSum } from "../core/decimal.ts";
import { decodeKey } from "../core/key.ts";
import { SERIES_BUCKETS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import { formatTime } from "../core/time.ts";
import type { Window } from "../core/window.ts";
import { Everywhere, type EverywhereDependencies } from "./everywhere.ts";
import { type KeysRequest, pageOfKeys } from "./keys.ts";
import { type Lookup, lookAt } from "./look.ts";
import type { SeriesRequest, TopRequest, ValueRequest } from "./request.ts";
import { planSeries, planSpan, resolveSpan, type Span, widenSpan } from "./span.ts";
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

export interface KeysAnswer {
  readonly keys: string[][];
  /** Where the next page starts; `null` after the last one. */
  readonly cursor: string | null;
}

export interface LookupsDependencies extends EverywhereDependencies {
  readonly now: () => number;
}

/** Answers lookups, merged over all partitions, from Redis and cold storage as from one. */
export class Lookups {
  readonly #deps: LookupsDependencies;
  readonly #everywhere: Everywhere;

  constructor(deps: LookupsDependencies) {
    this.#deps = deps;
    this.#everywhere = new Everywhere(deps);
  }

  value({ counter, subject, span: request }: ValueRequest, signal?: AbortSignal): Promise<ValueAnswer> {
    return this.#look(counter, signal, async (state, view, latest) => {
      const span = widenSpan(counter, resolveSpan(request, finestOf(counter), state, this.#deps.now()), state);
      const ranges = planSpan(counter, span, state);
      const [[cell], unique] = await Promise.all([
        this.#everywhere.sums(view, [subject.owner], ranges),
        counter.unique ? this.#everywhere.distinct(view, subject.owner, ranges) : undefined,
      ]);
      const answer = {
        ...head(counter, span, await latest),
        ...subject.shown,
        ...numbers(counter, cell as Cell, unique),
      };
      return [answer, ranges];
    });
  }

  series({ counter, subject, span: request, window }: SeriesRequest, signal?: AbortSignal): Promise<SeriesAnswer> {
    return this.#look(counter, signal, async (state, view, latest) => {
      const span = resolveSpan(request, window, state, this.#deps.now());
      checkSeries(counter, span, window, state);
      const row: Row = { from: span.from, ms: window.ms, length: (span.to - span.from) / window.ms };
      const rowRanges = planSeries(counter, span, window, state);
      const ranges = planSpan(counter, span, state);
      const [cells, uniques, unique] = await Promise.all([
        this.#everywhere.series(view, subject.owner, row, rowRanges),
        counter.unique ? this.#everywhere.distinctSeries(view, subject.owner, row, rowRanges) : [],
        counter.unique ? this.#everywhere.distinct(view, subject.owner, ranges) : undefined,
      ]);
      const { time } = await latest;
      const buckets = cells.map((cell, i) => {
        const start = span.from + i * window.ms;
        const final = isFinal(time, start + window.ms);
        return { start: formatTime(start), ...numbers(counter, cell, uniques[i]), final };
      });
      const total = numbers(counter, sumCells(cells), unique);
      const answer = { ...head(counter, span, { time }), ...subject.shown, ...total, window: window.label, buckets };
      return [answer, [...rowRanges, ...ranges]];
    });
  }

  top({ counter, span: request, limit, by }: TopRequest, signal?: AbortSignal): Promise<TopAnswer> {
    return this.#look(counter, signal, async (state, view, latest) => {
      const span = widenSpan(counter, resolveSpan(request, finestOf(counter), state, this.#deps.now()), state);
      const ranges = planSpan(counter, span, state);
      const ranked = await rankKeys({ everywhere: this.#everywhere, view, ranges, limit, by });
      const top = ranked.map(({ key, cell }) => ({
        key: decodeKey(key, counter.by.length),
        ...numbers(counter, cell),
      }));
      return [{ ...head(counter, span, await latest), top }, ranges];
    });
  }

  keys(counter: Counter, request: KeysRequest, signal?: AbortSignal): Promise<KeysAnswer> {
    return this.#look(counter, signal, (state, view) => pageOfKeys(this.#everywhere, view, state.time, request));
  }

  #look<Answer>(counter: Counter, signal: AbortSignal | undefined, lookup: Lookup<Answer>): Promise<Answer> {
    return lookAt(this.#everywhere, counter, signal, lookup);
  }
}

/** Throws a Problem when a series cannot be shown, or would show nothing where there was something. */
function checkSeries(counter: Counter, span: Span, window: Window, state: CounterState): void {
  if ((span.to - span.from) / window.ms > SERIES_BUCKETS_MAX) {
    const detail = `the span holds more than ${SERIES_BUCKETS_MAX} buckets of ${window.label}; ask for less or a wider window`;
    throw new Problem("invalid_span", detail);
  }
  const gone = goneTo(counter, state)[counter.windows.indexOf(window)] as number;
  if (span.from < gone) {
    const detail = `buckets of ${window.label} before ${formatTime(gone)} are not kept any more; ask for a wider window`;
    throw new Problem("invalid_span", detail);
  }
}

function head(counter: Counter, span: Span, { time }: Pick<CounterState, "time">): SpanAnswer {
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
