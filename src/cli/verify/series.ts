import type { Counter } from "../../core/counter.ts";
import { isObject } from "../../core/event.ts";
import { formatTime } from "../../core/time.ts";
import type { Window } from "../../core/window.ts";
import { type Comparison, spanParameters } from "./checks.ts";
import { type Cell, type Cells, sumRow } from "./expected.ts";
import type { Span } from "./spans.ts";

/** Compares the totals of every bucket of a span, empty ones included, and of the span as a whole. */
export async function compareSeries(
  counter: Counter,
  window: Window,
  cells: Cells,
  { from, to }: Span,
  { service, report, onProgress }: Comparison,
): Promise<void> {
  const parameters = spanParameters(from, to);
  const answer = await service.series(counter.name, { ...parameters, window: window.label });
  const place = `${counter.name}, series of ${window.label}`;
  if (answer.from !== parameters.from || answer.to !== parameters.to) {
    // Of a window that forgets, the oldest buckets can only be had together.
    if (isForgotten(counter, window)) return;
    return report.same(
      false,
      () => `${place}, ${parameters.from} to ${parameters.to}: answered for ${answer.from} to ${answer.to}`,
    );
  }
  const given = new Map(bucketsOf(answer.buckets).map((bucket) => [bucket.start, bucket]));
  const numbers = ({ count, micro }: Cell) => ({ count, micro: counter.sum && micro, unique: null });
  const whole = { count: 0n, micro: 0n };
  for (let start = from; start < to; start += window.ms) {
    const cell = sumRow(cells.get(start));
    const name = formatTime(start);
    report.numbers(() => `${place}, bucket ${name}`, numbers(cell), given.get(name));
    whole.count += cell.count;
    whole.micro += cell.micro;
  }
  report.same(given.size === (to - from) / window.ms, () => `${place}: has ${given.size} buckets`);
  report.numbers(() => `${place}, ${parameters.from} to ${parameters.to}`, numbers(whole), answer);
  onProgress();
}

/** Whether buckets of the window are deleted some day. */
export function isForgotten({ definition }: Counter, { label }: Window): boolean {
  return definition.coldKeep?.[label] !== undefined;
}

function bucketsOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
