import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readCounterState } from "../../src/buckets/state.ts";
import { Everywhere } from "../../src/query/everywhere.ts";
import { sumHashes } from "../../src/redis/commands/sum.ts";
import { readNew } from "../../src/stream/entries.ts";
import { changing, Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** Cells added up inside Redis. */

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

const COUNTER = { name: "all", event: "*", by: ["subject"], sum: "data.n", windows: ["1m", "1h"] };
const MINUTE = 60_000;

async function create(removed?: string, instead = ""): Promise<void> {
  const mutate = changing(removed === undefined ? undefined : { script: "sum", from: removed, to: instead });
  harness = await Harness.create(redis, { counters: [COUNTER], mutate });
}

describe("integers of Redis are added to the last digit", () => {
  /** Where a double, the script's halves and Redis's integers end, and what is near. */
  const EDGES = [0n, 999_999_999n, 1_000_000_000n, 9_999_999_999n, 10_000_000_000n, 2n ** 53n, 2n ** 63n - 10n];
  const NUMBERS = EDGES.flatMap((edge) => [-edge - 1n, -edge, -edge + 1n, edge - 1n, edge, edge + 1n, edge + 7n]);
  const WIDTH = 2;
  const LISTS = [
    ["a", "as", "b", "bs"],
    ["c", "cs"],
  ];
  const OWNERS = 20;

  /** Fills hashes of every owner at random, some of them with gaps; gives the true sums and what the script makes. */
  async function addUp(): Promise<{ expected: bigint[]; sums: readonly bigint[] }> {
    const expected = Array.from({ length: OWNERS * WIDTH }, () => 0n);
    const hashes: string[] = [];
    for (let owner = 0; owner < OWNERS; owner++) {
      for (const [l, fields] of LISTS.entries()) {
        const hash = `{0}:${owner}:${l}`;
        hashes.push(hash);
        for (const [f, field] of fields.entries()) {
          if (Math.random() < 0.2) continue;
          const number = NUMBERS[Math.floor(Math.random() * NUMBERS.length)] as bigint;
          await harness.client.hset(hash, field, number.toString());
          expected[owner * WIDTH + (f % WIDTH)]! += number;
        }
        await harness.client.hset(hash, "other", "1");
      }
    }
    await harness.client.hset("{0}:cold", "m", "1 2 3");
    const request = { cold: "{0}:cold", marks: ["m", "n"], cells: LISTS, width: WIDTH, hashes };
    const { marks, sums } = await sumHashes(harness.client, harness.scripts, request);
    expect(marks).toEqual(["1 2 3", null]);
    return { expected, sums };
  }

  test("whatever their size and sign", async () => {
    await create();
    for (let round = 0; round < 20; round++) {
      await harness.client.flushall();
      const { expected, sums } = await addUp();
      expect(sums).toEqual(expected);
    }
  });

  test.each([
    { what: "as doubles", removed: "#text <= 10", instead: "true" },
    { what: "without the sign of the rest", removed: "== 45 and -1 or 1", instead: "== 45 and 1 or 1" },
  ])("not $what (the mutant)", async ({ removed, instead }) => {
    await create(removed, instead);
    const { expected, sums } = await addUp();
    expect(sums).not.toEqual(expected);
  });
});

test("many owners and buckets, of which one call reads a part, are what their cells are", {
  timeout: 60_000,
}, async () => {
  await create();
  const [counter, partition] = [harness.counter("all"), harness.partitions[0]!];
  const [window] = counter.windows as [(typeof counter.windows)[0]];
  const keys = partition.window(counter, window);
  const [first, buckets] = [1_000, 500];
  const owners = Array.from({ length: 30 }, (_, i) => ({ key: `/${i}` }));
  const expected = owners.map(() => ({ count: 0n, micro: 0n }));
  for (const [o, owner] of owners.entries()) {
    const pipeline = harness.client.pipeline();
    for (let b = o % 3; b < buckets; b += 3) {
      const start = (first + b) * MINUTE;
      const field = keys.field(start);
      pipeline.hset(keys.cells(keys.chunk(start), owner), { [field]: b, [`${field}s`]: -b, [`${field}f`]: 5 });
      expected[o]!.count += BigInt(b);
      expected[o]!.micro += BigInt(-b) * 1_000_000n + 5n;
    }
    await pipeline.exec();
  }
  const { holdings } = await readCounterState(harness.client, harness.partitions, counter);
  const view = { counter, holdings, signal: undefined };
  const split = first + 20;
  const ranges = [
    { window, from: first * MINUTE, to: split * MINUTE },
    { window, from: split * MINUTE, to: (first + buckets) * MINUTE },
  ];
  const sums = await new Everywhere(harness.lookupsDependencies).sums(view, owners, ranges);
  expect(sums).toEqual(expected);
});

test("lookups go on where Redis refuses whatever writes", async () => {
  await create();
  const partition = harness.partitions[0]!;
  const owner = await harness.own(partition);
  await harness.send([makeEvent({ id: "a", subject: "/", data: { n: 1.5 } })]);
  await owner.apply(await readNew(harness.client, partition, 100, 1));
  await harness.client.config("SET", "min-replicas-to-write", "1");
  try {
    await expect(harness.client.set("x", 1)).rejects.toThrow("NOREPLICAS");
    const subject = { owner: { key: "/" }, shown: { key: ["/"] } };
    const request = { counter: harness.counter("all"), subject, span: { lastMs: MINUTE } };
    expect(await harness.lookups.value(request)).toMatchObject({ count: 1, sum: 1.5 });
  } finally {
    await harness.client.config("SET", "min-replicas-to-write", "0");
  }
});
