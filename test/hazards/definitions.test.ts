import { afterAll, beforeAll, expect, test } from "vitest";
import { META } from "../../src/redis/keys.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { countAll, metric, startWorkers } from "./support.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

test("definitions set back to an old backup stop the partition with an alarm; newer ones let it go on", async () => {
  const harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
  });
  const { client, scripts } = harness;
  await harness.registry.put({ ...harness.counter("all").definition, lateness: "3000d" });
  const newer = await client.hgetall(META.counters);
  await client.hset(META.counters, "=version", 1);
  const apply = scripts.get("apply");
  let runs = 0;
  const run = apply.run.bind(apply);
  apply.run = (...args) => {
    runs++;
    return run(...args);
  };

  const first = await startWorkers(redis, harness);
  await harness.send([makeEvent({ id: "a", time: 1_000_000 })]);
  await expect.poll(() => first.workers.stoppedPartitions, { timeout: 30_000 }).toBe(1);
  expect(first.alarms).toEqual(["ALARM: the partition is stopped until the cause is removed"]);
  expect(await metric(first.metrics, "tallymark_partitions_stopped")).toBe(1);
  // Asked a few times, not in a hot loop.
  expect(runs).toBe(1);
  expect(await countAll(harness)).toBe(0);
  await first.stop();

  await client.hset(META.counters, newer);
  const second = await startWorkers(redis, harness);
  await expect.poll(() => countAll(harness), { timeout: 30_000 }).toBe(1);
  await second.stop();
  harness.close();
});
