import { afterAll, beforeAll, expect, test } from "vitest";
import type { Window } from "../../src/core/window.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { countAll, metric, startWorkers } from "./support.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

test("a key that somebody else wrote stops its partition with an alarm, and no other", async () => {
  const harness = await Harness.create(redis, {
    partitions: 2,
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
  });
  const counter = harness.counter("all");
  const [broken, sound] = harness.partitions as [
    (typeof harness.partitions)[number],
    (typeof harness.partitions)[number],
  ];
  const keys = broken.window(counter, counter.windows[0] as Window);
  await harness.client.set(keys.cells(keys.chunk(0), "total"), "not a hash");
  const events = Array.from({ length: 100 }, (_, i) => makeEvent({ id: `e${i}`, time: 1_000 }));
  const itsOwn = events.filter((event) => harness.partitionOf(event) === sound);

  const running = await startWorkers(redis, harness);
  await harness.send(events);
  await expect.poll(() => running.workers.stoppedPartitions, { timeout: 30_000 }).toBe(1);
  expect(running.alarms).toContain("ALARM: the partition is stopped until the cause is removed");
  expect(await metric(running.metrics, "tallymark_partitions_stopped")).toBe(1);
  await harness.send(events.map((event) => ({ ...event, id: `later ${event.id}` })));
  const waiting = await harness.client.xlen(broken.stream);
  await expect.poll(() => harness.client.xlen(sound.stream), { timeout: 30_000 }).toBe(0);
  // What failed was not tried a second time, and what came after it still waits.
  expect(waiting).toBeGreaterThan(0);
  expect(await harness.client.xlen(broken.stream)).toBe(waiting);

  await running.stop();
  await harness.client.del(keys.cells(keys.chunk(0), "total"));
  const later = events.filter((event) => harness.partitionOf({ ...event, id: `later ${event.id}` }) === sound);
  expect(await countAll(harness)).toBe(itsOwn.length + later.length);
  harness.close();
});
