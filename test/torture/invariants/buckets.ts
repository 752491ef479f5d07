import { type CounterModel, keyOfText } from "../model.ts";
import type { Query, Reader } from "../reader.ts";
import { type Aftermath, Finding } from "./invariant.ts";
import { Reference } from "./reference.ts";

export interface SeriesAnswer {
  readonly unique?: number;
  readonly buckets: readonly { readonly start: string; readonly count: number; sum?: number; unique?: number }[];
}

/** Series that are held at the same time. */
const PART = 500;

/** One series of the model: a window and an owner, `null` being the total. */
export interface Line {
  readonly window: number;
  readonly key: string | null;
}

export function seriesQuery({ counter, span }: CounterModel, { window, key }: Line): Query {
  const label = counter.windows[window]?.label;
  return {
    counter: counter.name,
    feed: "series",
    window: label,
    ...span,
    ...(key !== null && { key: keyOfText(key) }),
  };
}

/** Every series of the counter with its answer, a part at a time. */
export async function* readLines(
  reader: Reader,
  model: CounterModel,
  keys: readonly (string | null)[],
): AsyncGenerator<[Line, SeriesAnswer]> {
  const lines = model.counter.windows.flatMap((_, window) => keys.map((key) => ({ window, key })));
  for (let from = 0; from < lines.length; from += PART) {
    const part = lines.slice(from, from + PART);
    const answers = await reader.queryAll<SeriesAnswer>(part.map((line) => seriesQuery(model, line)));
    for (const [i, line] of part.entries()) yield [line, answers[i] as SeriesAnswer];
  }
}

/** Every (counter, window, key, bucket), empty ones too: count, sum and unique. */
export async function bucketsAreExact({ models, reader, redis }: Aftermath): Promise<Finding[]> {
  const [counts, uniques] = [new Finding("buckets: count and sum"), new Finding("uniques = reference sketches")];
  for (const model of models) {
    if (!model.span) continue;
    const keys = model.counter.keysMax === null ? model.keys : [];
    const reference = new Reference(redis);
    for await (const [line, answer] of readLines(reader, model, [null, ...keys])) {
      compareLine(counts, model, line, answer);
      if (model.counter.hasUnique) reference.add(model, line, answer);
    }
    await reference.compare(uniques);
  }
  return [counts, uniques];
}

function compareLine(finding: Finding, model: CounterModel, line: Line, { buckets }: SeriesAnswer): void {
  const expected = model.buckets(line.window, line.key);
  const { counter } = model;
  let found = 0;
  for (const { start, count, sum } of buckets) {
    const cell = expected.get(Date.parse(start));
    if (cell) found++;
    const wanted = { count: cell?.count ?? 0, ...(counter.hasSum && { sum: (cell?.micro ?? 0) / 1_000_000 }) };
    finding.same(nameOf(model, line, start), { count, ...(sum !== undefined && { sum }) }, wanted);
  }
  finding.same(nameOf(model, line, "buckets with data"), found, expected.size);
}

export function nameOf({ counter }: CounterModel, { window, key }: Line, start: string): string {
  return `${counter.name} ${counter.windows[window]?.label} ${key ?? "total"} ${start}`;
}
