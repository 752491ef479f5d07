import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { identify } from "../../src/core/identity.ts";
import { readPackagedScript } from "../../src/redis/scripts.ts";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { countAll } from "./support.ts";

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis(["--maxmemory", "64mb"]);
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

const IDS = 16_000;

async function create(): Promise<void> {
  harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
  });
}

async function applyAll(): Promise<void> {
  const partition = harness.partitions[0]!;
  const owner = await harness.own(partition);
  for (;;) {
    const entries = await readNew(harness.client, partition, 2, 1);
    if (entries.length === 0) return;
    await owner.apply(entries);
  }
}

test.each([
  { ids: "with a time of their own", makeId: (i: number) => `01HF7YAT00${String(i).padStart(16, "0")}`, bytes: 14 },
  { ids: "without", makeId: (i: number) => `order-${i}`, bytes: 20 },
])(
  "remembered ids $ids are sorted integers of few bytes; in one plain set they take five times that",
  async ({ makeId, bytes }) => {
    await create();
    const { client } = harness;
    const ids = Array.from({ length: IDS }, (_, i) => makeId(i));
    for (let from = 0; from < IDS; from += 1_000) {
      await harness.send(ids.slice(from, from + 1_000).map((id) => makeEvent({ id, time: 1_000 })));
    }
    await applyAll();
    const sets = await client.keys("*:d:*");
    expect(new Set(await Promise.all(sets.map((set) => client.object("ENCODING", set))))).toEqual(new Set(["intset"]));
    const sizes = await Promise.all(sets.map((set) => client.memory("USAGE", set)));
    const perId = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) / IDS;
    expect(perId).toBeLessThan(bytes);

    await client.sadd("plain", ...ids.map((id) => identify("secret", "", id).fingerprint));
    const plain = ((await client.memory("USAGE", "plain", "SAMPLES", 0)) as number) / IDS;
    expect(plain).toBeGreaterThan(3 * perId);
  },
);

test("a script that may not write above maxmemory could never drain the stream (the mutant)", async () => {
  await create();
  await harness.send([makeEvent({ id: "a", time: 1_000 })]);
  const apply = harness.scripts.get("apply");
  const source = `#!lua\n${readPackagedScript("apply")}`;
  const mutant = vi
    .spyOn(apply, "run")
    .mockImplementation((client, keys, args) => client.eval(source, keys.length, ...keys, ...args));
  const partition = harness.partitions[0]!;
  const owner = await harness.own(partition);
  const entries = await readNew(harness.client, partition, 1, 1);
  const before = (await harness.client.config("GET", "maxmemory")) as string[];
  await harness.client.config("SET", "maxmemory", 1);
  await expect(owner.apply(entries)).rejects.toThrow("OOM");
  mutant.mockRestore();
  await owner.apply(entries);
  await harness.client.config("SET", "maxmemory", before[1] as string);
  expect(await countAll(harness)).toBe(1);
});
