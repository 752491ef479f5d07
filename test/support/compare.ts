import type { Counter } from "../../src/core/counter.ts";
import { showSum } from "../../src/core/decimal.ts";
import { compareCodePoints } from "../../src/core/key.ts";
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

async function rankingDifferences(
  lookups: Lookups,
  counter: Counter,
  cells: Map<string, ModelCell>,
): Promise<string[]> {
  const finest = counter.windows[0]?.ms;
  const totals = new Map<string, ModelCell>();
  let [from, to] = [Number.POSITIVE_INFINITY, 0];
  for (const [name, cell] of cells) {
    const [ms, start, ...rest] = name.split(" ");
    if (Number(ms) !== finest) continue;
    from = Math.min(from, Number(start));
    to = Math.max(to, Number(start) + Number(ms));
    const owner = rest.join(" ");
    if (owner === "t") continue;
    const total = totals.get(owner.slice(1)) ?? { count: 0, micro: 0n, members: new Set() };
    totals.set(owner.slice(1), total);
    total.count += cell.count;
    total.micro += cell.micro;
  }
  if (to === 0 || counter.by.length === 0 || !counter.top) return [];
  const differences: string[] = [];
  for (const by of counter.sum ? (["count", "sum"] as const) : (["count"] as const)) {
    const expected = [...totals]
      .map(([key, { count, micro }]) => ({ key, count: BigInt(count), micro }))
      .sort((a, b) => Number(by === "count" ? b.count - a.count : b.micro - a.micro) || compareCodePoints(a.key, b.key))
      .slice(0, 3)
      .map(({ key, count, micro }) => [key, Number(count), counter.sum && showSum(micro)]);
    const { top } = await lookups.top({ counter, span: { from, to }, limit: 3, by });
    const found = top.map(({ key, count, sum }) => [key.join("\u0000"), count, sum]);
    if (JSON.stringify(expected) !== JSON.stringify(found)) {
      const span = `${formatTime(from)}…${formatTime(to)}`;
      differences.push(
        `top of ${counter.name} by ${by} in ${span}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`,
      );
    }
  }
  return differences;
}
