import type { Counter } from "../../src/core/counter.ts";
import { showSum } from "../../src/core/decimal.ts";
import { compareCodePoints } from "../../src/core/key.ts";
import { KEYS_LIMIT_MAX } from "../../src/core/limits.ts";
import { formatTime } from "../../src/core/time.ts";
import type { Lookups } from "../../src/query/lookups.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import type { Harness } from "./harness.ts";
import type { ModelCell, ModelPartition } from "./model.ts";

/** Cells of one counter in all model partitions together. */
export function mergeCells(models: readonly ModelPartition[], counter: Counter): Map<string, ModelCell> {
  const merged = new Map<string, ModelCell>();
  for (const model of models) {
    for (const [name, cell] of model.counters.get(counter)?.cells ?? []) {
      const sum = merged.get(name) ?? { count: 0, micro: 0n, members: new Set() };
      merged.set(name, sum);
      sum.count += cell.count;
      sum.micro += cell.micro;
      for (const member of cell.members) sum.members.add(member);
    }
  }
  return merged;
}

/** Every difference between what the service answers and what the models hold, in words. */
export async function findDifferences(harness: Harness, models: readonly ModelPartition[]): Promise<string[]> {
  const differences: string[] = [];
  for (const counter of models[0]?.counters.keys() ?? []) {
    const cells = mergeCells(models, counter);
    for (const [name, cell] of cells) differences.push(...(await cellDifferences(harness, counter, name, cell)));
    differences.push(...(await rankingDifferences(harness.lookups, counter, cells)));
    differences.push(...(await seriesDifferences(harness, counter, cells)));
    differences.push(...(await keysDifferences(harness.lookups, counter, cells)));
  }
  return differences;
}

async function cellDifferences(harness: Harness, counter: Counter, name: string, cell: ModelCell): Promise<string[]> {
  const [ms, start, ...rest] = name.split(" ");
  const owner = rest.join(" ");
  const [from, to] = [Number(start), Number(start) + Number(ms)];
  const key = owner === "t" ? null : owner.slice(1).split("\u0000");
  const answer = await harness.lookups.value({
    counter,
    subject: { owner: key ? { key: owner.slice(1) } : "total", shown: { key } },
    span: { from, to },
  });
  const expected = {
    count: cell.count,
    ...(counter.sum && { sum: showSum(cell.micro) }),
    ...(counter.unique && { unique: await referenceEstimate(harness.client, [...cell.members]) }),
  };
  const found = { count: answer.count, sum: answer.sum, unique: answer.unique };
  return JSON.stringify(expected) === JSON.stringify(found)
    ? []
    : [`${counter.name} ${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`];
}

/** What Redis's own HyperLogLog says of these members: the only right answer, since the estimator is its. */
async function referenceEstimate(client: RedisClient, members: readonly string[]): Promise<number> {
  if (members.length === 0) return 0;
  const key = "test:reference";
  await client.del(key);
  await client.pfadd(key, ...members);
  return client.pfcount(key);
}

/** Of all events together, and of each bucket of the wider windows: these have boards and indexes of their own. */
async function rankingDifferences(
  lookups: Lookups,
  counter: Counter,
  cells: Map<string, ModelCell>,
): Promise<string[]> {
  if (cells.size === 0 || counter.by.length === 0 || !counter.top) return [];
  const [finest, ...wider] = counter.windows.map(({ ms }) => ms) as [number, ...number[]];
  const buckets = [...cells.keys()].map((name) => name.split(" ").map(Number) as [ms: number, start: number]);
  const starts = buckets.map(([, start]) => start);
  const spans = new Map([["all", { from: Math.min(...starts), to: Math.max(...starts) + finest }]]);
  for (const [ms, start] of buckets) {
    if (wider.includes(ms)) spans.set(`${ms} ${start}`, { from: start, to: start + ms });
  }
  const differences: string[] = [];
  for (const span of spans.values()) {
    const totals = totalsWithin(span, finest, cells);
    for (const by of counter.sum ? (["count", "sum"] as const) : (["count"] as const)) {
      const expected = [...totals]
        .map(([key, { count, micro }]) => ({ key, count: BigInt(count), micro }))
        .sort(
          (a, b) => Number(by === "count" ? b.count - a.count : b.micro - a.micro) || compareCodePoints(a.key, b.key),
        )
        .slice(0, 3)
        .map(({ key, count, micro }) => [key, Number(count), counter.sum && showSum(micro)]);
      const { top } = await lookups.top({ counter, span, limit: 3, by });
      const found = top.map(({ key, count, sum }) => [key.join("\u0000"), count, sum]);
      if (JSON.stringify(expected) !== JSON.stringify(found)) {
        const named = `${formatTime(span.from)}…${formatTime(span.to)}`;
        differences.push(
          `top of ${counter.name} by ${by} in ${named}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`,
        );
      }
    }
  }
  return differences;
}

/** What each key has in the finest buckets of a span. */
function totalsWithin(
  { from, to }: { readonly from: number; readonly to: number },
  finest: number,
  cells: ReadonlyMap<string, ModelCell>,
): Map<string, ModelCell> {
  const totals = new Map<string, ModelCell>();
  for (const [name, cell] of cells) {
    const [ms, start, ...rest] = name.split(" ");
    const owner = rest.join(" ");
    if (Number(ms) !== finest || Number(start) < from || Number(start) >= to || owner === "t") continue;
    const total = totals.get(owner.slice(1)) ?? { count: 0, micro: 0n, members: new Set() };
    totals.set(owner.slice(1), total);
    total.count += cell.count;
    total.micro += cell.micro;
  }
  return totals;
}

async function keysDifferences(
  lookups: Lookups,
  counter: Counter,
  cells: ReadonlyMap<string, ModelCell>,
): Promise<string[]> {
  if (counter.by.length === 0) return [];
  const owners = [...cells.keys()].map((name) => name.split(" ").slice(2).join(" ")).filter((owner) => owner !== "t");
  const expected = [...new Set(owners.map((owner) => owner.slice(1)))].sort();
  const { keys } = await lookups.keys(counter, { prefix: "", after: null, limit: KEYS_LIMIT_MAX });
  const found = keys.map((key) => key.join("\u0000")).sort();
  if (expected.length > KEYS_LIMIT_MAX || JSON.stringify(expected) === JSON.stringify(found)) return [];
  return [`keys of ${counter.name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`];
}

/** The total's series of every window, which may be made up of several. */
async function seriesDifferences(
  harness: Harness,
  counter: Counter,
  cells: ReadonlyMap<string, ModelCell>,
): Promise<string[]> {
  const differences: string[] = [];
  for (const window of counter.windows) {
    const totals = new Map<number, ModelCell>();
    for (const [name, cell] of cells) {
      const [ms, start, owner] = name.split(" ");
      if (Number(ms) === window.ms && owner === "t") totals.set(Number(start), cell);
    }
    if (totals.size === 0) continue;
    const span = { from: Math.min(...totals.keys()), to: Math.max(...totals.keys()) + window.ms };
    const subject = { owner: "total", shown: { key: null } } as const;
    const { buckets } = await harness.lookups.series({ counter, subject, span, window });
    for (const { start, count, sum, unique } of buckets) {
      const cell = totals.get(Date.parse(start)) ?? { count: 0, micro: 0n, members: new Set<string>() };
      const expected = {
        count: cell.count,
        ...(counter.sum && { sum: showSum(cell.micro) }),
        ...(counter.unique && { unique: await referenceEstimate(harness.client, [...cell.members]) }),
      };
      const [is, should] = [JSON.stringify({ count, sum, unique }), JSON.stringify(expected)];
      if (is !== should)
        differences.push(`series of ${counter.name} by ${window.label} at ${start}: ${is} instead of ${should}`);
    }
  }
  return differences;
}
