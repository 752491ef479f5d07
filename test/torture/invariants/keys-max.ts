import type { CounterModel } from "../model.ts";
import { readLines, type SeriesAnswer, seriesQuery } from "./buckets.ts";
import { type Aftermath, Finding } from "./invariant.ts";

/** Within a bucket of the widest window: a key is named in all its cells or in none, and the others are counted together. */
export async function keysMaxHolds({ models, reader }: Aftermath): Promise<Finding[]> {
  const finding = new Finding("keysMax: named in all or none; rest = other");
  for (const model of models) {
    const { keysMax, windows } = model.counter;
    if (keysMax === null || !model.span) continue;
    const named = new NamedKeys(model, finding);
    for await (const [{ window, key }, { buckets }] of readLines(reader, model, model.keys)) {
      if (key !== null) named.learn(window, key, buckets);
    }
    named.checkNumber(keysMax);
    const queries = windows.map((_, window) => ({ ...seriesQuery(model, { window, key: null }), other: true }));
    const others = await reader.queryAll<SeriesAnswer>(queries);
    for (const [window, { buckets }] of others.entries()) named.checkOther(window, buckets);
  }
  return [finding];
}

class NamedKeys {
  readonly #model: CounterModel;
  readonly #finding: Finding;
  readonly #widest: number;
  /** By bucket of the widest window and key: whether the first cell that was looked at holds the key. */
  readonly #named = new Map<number, Map<string, boolean>>();

  constructor(model: CounterModel, finding: Finding) {
    this.#model = model;
    this.#finding = finding;
    this.#widest = model.counter.windows.at(-1)?.ms ?? 1;
  }

  learn(window: number, key: string, buckets: SeriesAnswer["buckets"]): void {
    const cells = this.#model.buckets(window, key);
    for (const { start, count } of buckets) {
      const at = Date.parse(start);
      const expected = cells.get(at)?.count ?? 0;
      const what = `${this.#model.counter.name} ${this.#model.counter.windows[window]?.label} ${key} ${start}`;
      if (expected === 0) {
        this.#finding.same(what, count, 0);
        continue;
      }
      const keys = this.#keysOf(at);
      const isNamed = keys.get(key) ?? count > 0;
      keys.set(key, isNamed);
      this.#finding.same(what, count, isNamed ? expected : 0);
    }
  }

  checkNumber(keysMax: number): void {
    for (const [bucket, keys] of this.#named) {
      const number = [...keys.values()].filter((isNamed) => isNamed).length;
      this.#finding.holds(number <= keysMax, () => `${number} keys are named in the bucket of ${bucket}`);
    }
  }

  checkOther(window: number, buckets: SeriesAnswer["buckets"]): void {
    const expected = new Map<number, number>();
    for (const key of this.#model.keys) {
      for (const [at, { count }] of this.#model.buckets(window, key)) {
        if (!this.#keysOf(at).get(key)) expected.set(at, (expected.get(at) ?? 0) + count);
      }
    }
    for (const { start, count } of buckets) {
      const what = `${this.#model.counter.name} ${this.#model.counter.windows[window]?.label} other ${start}`;
      this.#finding.same(what, count, expected.get(Date.parse(start)) ?? 0);
    }
  }

  #keysOf(at: number): Map<string, boolean> {
    const bucket = at - (at % this.#widest);
    const keys = this.#named.get(bucket) ?? new Map<string, boolean>();
    this.#named.set(bucket, keys);
    return keys;
  }
}
