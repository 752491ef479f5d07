import { type CounterModel, keyOfText } from "../model.ts";
import type { Query } from "../reader.ts";
import { type Aftermath, Finding } from "./invariant.ts";

const LIMIT = 1_000;

interface TopAnswer {
  readonly top: readonly { readonly key: readonly string[]; readonly count: number; readonly sum?: number }[];
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** Rankings over all data, over every bucket of the widest window, and over a span of odd length; all keys listed. */
export async function rankingsAreExact({ models, reader }: Aftermath): Promise<Finding[]> {
  const [tops, lists] = [new Finding("top = model"), new Finding("keys = model")];
  for (const model of models) {
    const { counter, span } = model;
    if (!span || counter.by.length === 0 || counter.keysMax !== null) continue;
    const questions = (counter.hasSum ? ["count", "sum"] : ["count"]).flatMap((by) =>
      spansOf(model, span).map((one) => ({ by: by as "count" | "sum", span: one })),
    );
    const queries: Query[] = questions.map(({ by, span: one }) => ({
      counter: counter.name,
      feed: "top",
      by,
      limit: LIMIT,
      ...one,
    }));
    const answers = await reader.queryAll<TopAnswer>(queries);
    for (const [i, { by, span: one }] of questions.entries()) {
      const expected = rank(model, one, by);
      const found = (answers[i] as TopAnswer).top.map(({ key, count, sum }) => [key, count, sum]);
      tops.same(`${counter.name} by ${by} ${one.from}…${one.to}: keys`, found.length, expected.length);
      for (const [place, row] of expected.entries()) {
        tops.same(`${counter.name} by ${by} ${one.from}…${one.to}: place ${place + 1}`, found[place], row);
      }
    }
    const listed = await reader.list<string[]>(`/v1/counters/${counter.name}/keys?limit=${LIMIT}&`, "keys");
    lists.same(counter.name, listed, model.keys.map(keyOfText).sort(compareKeys));
  }
  return [tops, lists];
}

function spansOf({ counter }: CounterModel, { from, to }: Span): Span[] {
  const finest = counter.windows[0]?.ms ?? 1;
  const widest = counter.windows.at(-1)?.ms ?? 1;
  const buckets = Array.from({ length: (to - from) / widest }, (_, i) => ({
    from: from + i * widest,
    to: from + (i + 1) * widest,
  }));
  return [{ from, to }, ...buckets, { from: from + finest, to: to - 2 * finest }];
}

function rank(model: CounterModel, { from, to }: Span, by: "count" | "sum"): [string[], number, number | undefined][] {
  const rows = model.keys.map((text) => {
    let [count, micro] = [0, 0];
    for (const [start, cell] of model.buckets(0, text)) {
      if (start < from || start >= to) continue;
      count += cell.count;
      micro += cell.micro;
    }
    return { key: keyOfText(text), count, micro };
  });
  const size = by === "count" ? "count" : "micro";
  return rows
    .filter(({ count }) => count > 0)
    .sort((a, b) => b[size] - a[size] || compareKeys(a.key, b.key))
    .slice(0, LIMIT)
    .map(({ key, count, micro }) => [key, count, model.counter.hasSum ? micro / 1_000_000 : undefined]);
}

/** Field by field; all texts of a run are ASCII. */
function compareKeys(a: readonly string[], b: readonly string[]): number {
  for (const [i, text] of a.entries()) {
    const other = b[i] as string;
    if (text !== other) return text < other ? -1 : 1;
  }
  return 0;
}
