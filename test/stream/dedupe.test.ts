import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { identify } from "../../src/core/identity.ts";
import { packColumns } from "../../src/core/packed.ts";
import { dropFamilies } from "../../src/redis/commands/drop.ts";
import { Dedupe } from "../../src/stream/dedupe.ts";
import { readNew } from "../../src/stream/entries.ts";
import type { PartitionOwner } from "../../src/stream/owner.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

const HOUR = 3_600_000;
const TOKEN = "dedupe";

async function start(horizonMs: number): Promise<PartitionOwner> {
  harness = await Harness.create(redis, {
    horizonMs,
    counters: [
      { name: "all", event: "*", by: ["subject"], unique: "id", sum: "data.n", windows: ["1h"], lateness: "4000d" },
    ],
  });
  return harness.own(harness.partitions[0]!, TOKEN);
}

const applyNew = async (owner: PartitionOwner) => {
  for (;;) {
    const entries = await readNew(harness.client, harness.partitions[0]!, 1, 1);
    if (entries.length === 0) return;
    await owner.apply(entries);
  }
};

async function counted(): Promise<number> {
  const subject = { owner: "total", shown: { key: null } } as const;
  const span = { from: 0, to: Date.parse("2100-01-01T00:00:00Z") };
  return (await harness.lookups.value({ counter: harness.counter("all"), subject, span })).count as number;
}

/** Queues one event as if it had arrived at a given time. */
async function arrive(id: string, arrival: number): Promise<void> {
  const event = makeEvent({ id, time: 1_000_000 });
  const payload = packColumns([{ event, identity: identify("secret of the tests", "", id) }]);
  await harness.client.xadd(harness.partitions[0]!.stream, `${arrival}-0`, "e", payload);
}

test.each(["order-17", "01J0000000AAAAAAAAAAAAAAA1", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"])(
  "%s counts once, whatever time its copies give",
  async (id) => {
    const owner = await start(HOUR);
    for (const time of [1_000_000, 2_000_000_000, null]) await harness.send([makeEvent({ id, time })]);
    await applyNew(owner);
    expect(await counted()).toBe(1);
  },
);

test.each(["order-17", "01J0000000AAAAAAAAAAAAAAA1"])(
  "a worker that was down for hours still recognises %s, queued twice within seconds before",
  async (id) => {
    const owner = await start(HOUR);
    const { client, scripts, partitions } = harness;
    const arrival = Date.now() - 5 * HOUR;
    await arrive(id, arrival);
    await arrive(id, arrival + 5_000);
    await owner.apply(await readNew(client, partitions[0]!, 1, 1));
    await dropFamilies(client, scripts, partitions[0]!, TOKEN, arrival - HOUR);
    await applyNew(owner);
    expect(await counted()).toBe(1);
  },
);

test("sets that grew old by wall time instead of stream time would count it twice (the mutant)", async () => {
  const owner = await start(HOUR);
  const { client, scripts, partitions } = harness;
  const arrival = Date.now() - 5 * HOUR;
  await arrive("order-17", arrival);
  await arrive("order-17", arrival + 5_000);
  await owner.apply(await readNew(client, partitions[0]!, 1, 1));
  await dropFamilies(client, scripts, partitions[0]!, TOKEN, Date.now() - HOUR);
  await applyNew(owner);
  expect(await counted()).toBe(2);
});

test("an id is forgotten once a horizon has passed on the stream, and its sets are gone", async () => {
  const owner = await start(HOUR);
  const { client, scripts, partitions } = harness;
  const arrival = Date.now() - 5 * HOUR;
  await arrive("order-17", arrival);
  await arrive("01J0000000AAAAAAAAAAAAAAA1", arrival + 1);
  await applyNew(owner);
  await dropFamilies(client, scripts, partitions[0]!, TOKEN, arrival + 2 * HOUR - HOUR);
  expect(await client.keys("*:d:*")).toEqual([]);
  expect(await client.zcard(partitions[0]!.families)).toBe(0);
});

test("what a worker knows of a slice itself is forgotten by the same bound", async () => {
  await start(HOUR);
  const dedupe = await Dedupe.load(harness.client, harness.partitions[0]!, HOUR);
  const { slices } = dedupe;
  for (const [family, last] of [
    ["old", 9],
    ["young", 10],
  ] as const) {
    slices.begin(family);
    Object.assign(slices.of(family) as object, { last });
  }
  dedupe.forgetBefore(10);
  expect([slices.of("old"), slices.of("young")?.last]).toEqual([undefined, 10]);
});

test("generations rotate when they are full or old, and all within the horizon are looked at", async () => {
  const owner = await start(HOUR);
  const ids = Array.from({ length: 7_500 }, (_, i) => `id-${i}`);
  await harness.send(ids.map((id) => makeEvent({ id, time: 1_000_000 })));
  await applyNew(owner);
  expect((await harness.client.zrange(harness.partitions[0]!.families, "0", "-1")).length).toBeGreaterThan(1);
  await harness.send(ids.map((id) => makeEvent({ id, time: 1_000_000 })).reverse());
  await applyNew(owner);
  // A successor that knows only what Redis tells recognises them as well.
  const successor = await harness.own(harness.partitions[0]!, "successor");
  await harness.send(ids.slice(0, 1_000).map((id) => makeEvent({ id, time: 1_000_000 })));
  await applyNew(successor);
  expect(await counted()).toBe(7_500);
});

test("every key has an expiry or an owner that this list knows", async () => {
  const owner = await start(HOUR);
  await harness.send([
    makeEvent({ id: "a", time: 1_000_000, subject: "x", data: { n: 1.5 } }),
    makeEvent({ id: "01J0000000AAAAAAAAAAAAAAA1", time: 1_000_000, subject: "y" }),
  ]);
  await applyNew(owner);
  await counted();
  const OWNED = [
    /^tm:\{meta\}:(counters|deployment|deleted)$/, // the deployment
    /^tm:\{a\w+\}:\w+$/, // the counter: keys admitted to a bucket, and the list of such buckets
    /^tm:\{0\}:(stream|state|clocks|families|late|dead|cold|corrections)$/, // the partition
    /^tm:\{0\}:\w+:\w+\+?:((c|u|b|i):|s$)/, // the counter's generation: cells, sketches, boards, indexes, starts
  ];
  for (const key of await harness.client.keys("*")) {
    const ttl = await harness.client.pttl(key);
    if (/^tm:\{0\}:(d:.*|lease)$/.test(key)) expect([key, ttl > 0]).toEqual([key, true]);
    else expect([key, OWNED.some((pattern) => pattern.test(key))]).toEqual([key, true]);
  }
});
