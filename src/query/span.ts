import { type CounterState, goneTo, wholeIn } from "../buckets/state.ts";
import { type Counter, widestOf } from "../core/counter.ts";
import { parseDuration } from "../core/duration.ts";
import { PLAN_BUCKETS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import { parseTime, parseTimeParameter } from "../core/time.ts";
import {
  bucketCeil,
  bucketStart,
  countBuckets,
  coverSpan,
  type Interval,
  type Range,
  type Window,
} from "../core/window.ts";

/** A span as asked for. */
export type SpanRequest = { readonly lastMs: number } | { readonly from: number; readonly to: number };

/** Whole buckets `[from, to)`, ms. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface SpanParameters {
  readonly last?: string | undefined;
  readonly from?: string | number | undefined;
  readonly to?: string | number | undefined;
}

export function parseSpan({ last, from, to }: SpanParameters): SpanRequest {
  if (last !== undefined) {
    if (from !== undefined || to !== undefined) {
      throw new Problem("invalid_span", "last: cannot be combined with from and to");
    }
    const lastMs = parseDuration(last);
    if (lastMs === null) throw new Problem("invalid_span", "last: must be <n>s, <n>m, <n>h or <n>d, at most 10000d");
    return { lastMs };
  }
  if (from === undefined || to === undefined) throw new Problem("invalid_span", "give either last, or from and to");
  const span = { from: parseInstant("from", from), to: parseInstant("to", to) };
  if (span.from >= span.to) throw new Problem("invalid_span", "from: must be before to");
  return span;
}

function parseInstant(name: string, value: string | number): number {
  const time = typeof value === "number" ? parseTime(value) : parseTimeParameter(value);
  if (time === null)
    throw new Problem("invalid_span", `${name}: must be RFC 3339 or epoch milliseconds, years 1970 to 9999`);
  return time;
}

/**
 * The whole buckets of `unit` that a request means. `last` ends with the bucket that holds the counter's newest event
 * time; without any event, with the present one.
 */
export function resolveSpan(request: SpanRequest, unit: Window, { time }: CounterState, now: number): Span {
  if ("lastMs" in request) {
    const to = bucketStart(time?.newestClock ?? now, unit.ms) + unit.ms;
    return { from: Math.max(0, to - bucketCeil(request.lastMs, unit.ms)), to };
  }
  return { from: bucketStart(request.from, unit.ms), to: bucketCeil(request.to, unit.ms) };
}

/** The span widened outward to whole buckets of the finest window that is still held for each of its ends. */
export function widenSpan(counter: Counter, { from, to }: Span, state: CounterState): Span {
  const gone = goneTo(counter, state);
  const widest = widestOf(counter);
  const heldAt = (time: number) => counter.windows.find((_, w) => time >= (gone[w] as number)) ?? widest;
  return { from: bucketStart(from, heldAt(from).ms), to: bucketCeil(to, heldAt(to - 1).ms) };
}

/**
 * The fewest buckets that hold all of the span's events. Where the span reaches beyond all events, whole buckets of the
 * widest window are cut off: they are empty, and a span of centuries must not cost more than one of the data.
 */
export function planSpan(counter: Counter, span: Span, state: CounterState): Range[] {
  const { from, to } = withinData(counter, span, state);
  return checkPlan(
    counter,
    state,
    coverHeld(counter.windows, goneTo(counter, state), wholeIn(counter, state), from, to),
  );
}

/** The buckets that make up a row of buckets of `window`: these themselves, and finer ones where they are not folded yet. */
export function planSeries(counter: Counter, span: Span, window: Window, state: CounterState): Range[] {
  const { from, to } = withinData(counter, span, state);
  const count = counter.windows.indexOf(window) + 1;
  const whole = wholeIn(counter, state).slice(0, count);
  return checkPlan(counter, state, coverSpan(counter.windows.slice(0, count), from, to, whole));
}

/** The part of a span in which there can be anything, in whole buckets of the widest window. */
function withinData(counter: Counter, span: Span, { time }: CounterState): Span {
  if (!time) return { from: span.from, to: span.from };
  const { ms } = widestOf(counter);
  const from = Math.max(span.from, bucketStart(time.oldest, ms));
  return { from, to: Math.max(from, Math.min(span.to, bucketStart(time.newest, ms) + ms)) };
}

/** Without what is behind the newest event: where wider windows are not folded yet, that can be a day of seconds. */
function checkPlan(counter: Counter, { time }: CounterState, planned: readonly Range[]): Range[] {
  const end = (time?.newest ?? 0) + 1;
  const ranges = planned
    .map((range) => ({ ...range, to: Math.min(range.to, bucketCeil(end, range.window.ms)) }))
    .filter(({ from, to }) => from < to);
  if (countBuckets(ranges) <= PLAN_BUCKETS_MAX) return ranges;
  const detail = `the span holds more than ${PLAN_BUCKETS_MAX} buckets of ${counter.name}; ask for less`;
  throw new Problem("invalid_span", detail);
}

/**
 * Where finer windows are no longer held, wider ones make up the span; `gone` of each is aligned to the next wider. Where
 * wider ones are not folded yet, finer ones do.
 */
function coverHeld(
  windows: readonly Window[],
  gone: readonly number[],
  whole: readonly (readonly Interval[])[],
  from: number,
  to: number,
): Range[] {
  if (windows.length === 0 || from >= to) return [];
  const start = Math.min(Math.max(from, gone[0] as number), to);
  return [
    ...coverHeld(windows.slice(1), gone.slice(1), whole.slice(1), from, start),
    ...coverSpan(windows, start, to, whole),
  ];
}
