import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { readCounterState } from "../../src/buckets/state.ts";
import { tick } from "../../src/redis/commands/lease.ts";
import { readNew } from "../../src/stream/entries.ts";
import { tickingCounters } from "../../src/stream/floors.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  harness = await Harness.create(redis, {
    partitions: 2,
    counters: [{ name: "all", event: "*", by: [], windows: ["1s"], lateness: "2s" }],
  });
});
afterEach(() => harness.close());

const TOKEN = "clocks";

/** An event that goes to the given partition. */
function eventFor(partition: number, time: number) {
  for (let i = 0; ; i++) {
    const event = makeEvent({ id: `${time}.${i}`, time });
    if (harness.partitionOf(event) === harness.partitions[partition]) return event;
  }
}

async function applyTo(partition: number, time: number): Promise<void> {
  await harness.send([eventFor(partition, time)]);
  await applyWaiting(partition);
}

async function applyWaiting(partition: number): Promise<void> {
  const keys = harness.partitions[partition]!;
  const owner = await harness.own(keys, TOKEN);
  await owner.apply(await readNew(harness.client, keys, 10, 1));
}

/** What the owner of both partitions does once a second. */
async function tickAll(): Promise<void> {
  const { client, scripts, partitions } = harness;
  const counters = await tickingCounters(client, partitions, [harness.counter("all")]);
  for (const keys of partitions) {
    await client.set(keys.lease, TOKEN);
    expect(await tick(client, scripts, keys, TOKEN, counters)).toMatchObject({ kind: "ok", missing: 0 });
  }
}

const time = async () => (await readCounterState(harness.client, harness.partitions, harness.counter("all"))).time;

test("a live clock goes on at wall speed while no events come", async () => {
  const now = Date.now();
  await applyTo(0, now - 60_000);
  await applyTo(1, now - 60_000);
  const before = (await time())!;
  await expect
    .poll(async () => {
      await tickAll();
      return (await time())!.watermark;
    })
    .toBeGreaterThan(before.watermark + 20);
  const after = (await time())!;
  // It keeps its distance of a minute to wall time.
  expect(Date.now() - after.newestClock).toBeGreaterThanOrEqual(59_000);
});

test("a live clock does not pass the oldest entry that waits", async () => {
  const now = Date.now();
  await applyTo(0, now);
  await harness.send([eventFor(0, now - 500)]);
  const waiting = (await harness.client.xrange(harness.partitions[0]!.stream, "-", "+"))[0]![0];
  await tickAll();
  expect((await time())!.watermark).toBeLessThanOrEqual(Number.parseInt(waiting, 10));
});

test("a historic clock stands still, and a partition without one starts at the smallest", async () => {
  const then = Date.parse("1995-08-01T06:00:00Z");
  await applyTo(0, then);
  await tickAll();
  await tickAll();
  expect(await time()).toMatchObject({ watermark: then, newestClock: then, closed: then - 2_000 });
});

test("an idle historic clock rises to the smallest of the busy ones", async () => {
  const then = Date.parse("1995-08-01T06:00:00Z");
  await applyTo(0, then);
  await applyTo(1, then + 60_000);
  await tickAll();
  expect((await time())!.watermark).toBe(then);
  await harness.send([eventFor(1, then + 61_000)]);
  await tickAll();
  expect((await time())!.watermark).toBe(then + 60_000);
});

test("the lateness of a changed definition closes buckets at the next tick, and never opens one again", async () => {
  const then = Date.parse("1995-08-01T06:00:00Z");
  await applyTo(0, then);
  await applyTo(1, then);
  const change = async (lateness: string) => {
    await harness.registry.put({ ...harness.counter("all").definition, lateness });
    await tickAll();
    return (await time())!.closed - then;
  };
  expect(await change("10s")).toBe(-2_000);
  expect(await change("1s")).toBe(-1_000);
});
