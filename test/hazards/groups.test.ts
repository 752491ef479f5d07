import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { GROUP } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { countAll, metric, type RunningWorkers, startWorkers } from "./support.ts";

/** The group, or the whole stream, is deleted or trimmed behind the service's back. */

let redis: TestRedis;
let harness: Harness;
let running: RunningWorkers;
let sent: number;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  sent = 0;
  harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
  });
  running = await startWorkers(redis, harness);
});
afterEach(async () => {
  await running.stop();
  harness.close();
});

const stream = () => harness.partitions[0]!.stream;
const missing = () => metric(running.metrics, "tallymark_stream_entries_missing");

async function send(entries: number): Promise<void> {
  for (let i = 0; i < entries; i++) await harness.send([makeEvent({ id: `e${sent++}`, time: 1_000_000 })]);
}

async function allCounted(): Promise<void> {
  await expect.poll(() => countAll(harness), { timeout: 30_000, interval: 25 }).toBe(sent);
  expect(await harness.client.xlen(stream())).toBe(0);
}

test("the group is destroyed with entries queued: it is made anew at 0, and each of them counts once", async () => {
  await send(20);
  await allCounted();
  for (let round = 1; round <= 3; round++) {
    await harness.client.xgroup("DESTROY", stream(), GROUP);
    await send(20);
    await allCounted();
    const told = running.alarms.filter((text) => text.includes("the stream or its group was missing"));
    expect(told.length).toBe(round);
  }
  // Nothing was lost, and the accounts say so.
  expect(await missing()).toBe(0);
});

test("the group is destroyed with entries delivered: the old owner and the new one count them once together", async () => {
  await running.stop();
  const partition = harness.partitions[0]!;
  const first = await harness.own(partition, "first");
  await send(20);
  const hand = await readNew(harness.client, partition, 20, 1);
  await harness.client.xgroup("DESTROY", stream(), GROUP);
  // Not in the group any more, so not its to count: the fence refuses what nobody has delivered.
  await first.apply(hand.slice(0, 5));
  expect(await countAll(harness)).toBe(0);
  const second = await harness.own(partition, "second");
  const again = await readNew(harness.client, partition, 20, 1);
  expect(again.map(({ id }) => id)).toEqual(hand.map(({ id }) => id));
  await second.apply(again);
  await allCounted();
});

test("the stream is deleted: it is made anew, an alarm tells of it, and what comes afterwards is counted", async () => {
  await send(20);
  await allCounted();
  await harness.client.del(stream());
  await send(20);
  await allCounted();
  await expect.poll(missing, { timeout: 10_000 }).not.toBe(0);
  expect(running.alarms).toContain("ALARM: stream entries are missing");
  expect(running.alarms.some((text) => text.includes("the stream or its group was missing"))).toBe(true);
});

test("a stream trimmed to a length loses entries unseen by Redis, and the accounts tell how many (the mutant)", async () => {
  await running.stop();
  await send(100);
  await harness.client.xtrim(stream(), "MAXLEN", 10);
  running = await startWorkers(redis, harness);
  await expect.poll(() => countAll(harness), { timeout: 30_000 }).toBe(10);
  await expect.poll(missing, { timeout: 10_000 }).toBe(90);
  expect(running.alarms).toContain("ALARM: stream entries are missing");
});
