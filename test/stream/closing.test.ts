import { afterAll, beforeAll, expect, test } from "vitest";
import { readCounterState } from "../../src/buckets/state.ts";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const BASE = Date.parse("2015-09-12T10:00:00Z");

/** Closing of windows as Kafka Streams' suppression has it: closed once the newest event time ≥ end + grace. */
test.each([
  {
    grace: 1,
    times: [0, 1, 2, 1, 0, 5, 0],
    late: 1,
    buckets: [
      [0, 4, true],
      [2, 1, true],
      [4, 1, false],
    ],
  },
  {
    grace: 2,
    times: [0, 1, 2, 0, 3, 0, 4, 0, 30],
    late: 1,
    buckets: [
      [0, 4, true],
      [2, 2, true],
      [4, 1, true],
      [30, 1, false],
    ],
  },
])("size 2, grace $grace, event times $times", async ({ grace, times, late, buckets }) => {
  const harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["2s"], lateness: `${grace}s` }],
  });
  const [partition] = harness.partitions as [(typeof harness.partitions)[number]];
  const owner = await harness.own(partition);
  for (const [i, time] of times.entries()) {
    await harness.send([makeEvent({ id: `e${i}`, time: BASE + time * 1_000 })]);
    await owner.apply(await readNew(harness.client, partition, 10, 1));
  }
  const counter = harness.counter("all");
  const series = await harness.lookups.series({
    counter,
    subject: { owner: "total", shown: { key: null } },
    span: { from: BASE, to: BASE + 32_000 },
    window: counter.windows[0]!,
  });
  const found = series.buckets
    .filter(({ count }) => count !== 0)
    .map(({ start, count, final }) => [(Date.parse(start) - BASE) / 1_000, count, final]);
  expect(found).toEqual(buckets);
  expect(await harness.client.xlen(partition.late)).toBe(late);
  harness.close();
});

test("an event from the future moves no clock beyond its arrival, so it closes nothing for others", async () => {
  const harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1s"], lateness: "2s" }],
  });
  const [partition] = harness.partitions as [(typeof harness.partitions)[number]];
  const owner = await harness.own(partition);
  const now = Date.now();
  await harness.send([makeEvent({ id: "ahead", time: now + 4 * 60_000 })]);
  await owner.apply(await readNew(harness.client, partition, 10, 1));
  await harness.send([makeEvent({ id: "present", time: now })]);
  await owner.apply(await readNew(harness.client, partition, 10, 1));
  expect(await harness.client.xlen(partition.late)).toBe(0);
  const { time } = await readCounterState(harness.client, harness.partitions, harness.counter("all"));
  expect(time?.watermark).toBeLessThanOrEqual(Date.now() + 1_000);
  expect(time?.newest).toBe(now + 4 * 60_000);
  harness.close();
});
