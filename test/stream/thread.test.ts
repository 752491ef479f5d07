import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { RedisTarget } from "../../src/redis/client.ts";
import { partitionKeys } from "../../src/redis/keys.ts";
import { WorkerThread } from "../../src/stream/thread.ts";
import { countAll } from "../hazards/support.ts";
import { startTestApp } from "../support/app.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { freePort } from "../support/ports.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** The built workers, in the thread in which a process runs them. */

const TIME = Date.parse("2015-09-12T10:00:00Z");
const HOUR = 3_600_000;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const settings = (target: RedisTarget) => {
  return { redis: target, partitions: 2, dedupeHorizonMs: HOUR, logLevel: "silent" };
};

test("a thread counts, tells of itself, and gives its partitions back", async () => {
  const counters = [{ name: "all", event: "*", by: ["subject"], windows: ["1h"], lateness: "4000d" }];
  const harness = await Harness.create(redis, { partitions: 2, counters });
  const ends: string[] = [];
  const thread = new WorkerThread((reason) => ends.push(reason));
  await thread.start(settings(redis.target));
  await harness.send(Array.from({ length: 100 }, (_, i) => makeEvent({ id: `e${i % 90}`, time: TIME })));
  await expect.poll(() => countAll(harness)).toBe(90);
  // What is counted is visible at once, and told a moment later.
  const told = async () => (await thread.report()).metrics;
  await expect.poll(told).toContain('tallymark_events_total{outcome="applied"} 90\n');
  await expect.poll(told).toContain('tallymark_events_total{outcome="duplicates"} 10\n');
  expect((await thread.report()).stoppedPartitions).toBe(0);

  await thread.stop();
  for (const { lease } of harness.partitions) expect(await harness.client.exists(lease)).toBe(0);
  expect(ends).toEqual([]);
  harness.close();
});

test("a thread that is stopped while it starts ends all the same", async () => {
  const harness = await Harness.create(redis, { partitions: 2, counters: [] });
  const thread = new WorkerThread(() => {});
  void thread.start(settings(redis.target)).catch(() => undefined);
  await thread.stop();
  for (const { lease } of harness.partitions) expect(await harness.client.exists(lease)).toBe(0);
  harness.close();
});

test("a thread that cannot start says why, and so does one that has ended", async () => {
  const ends: string[] = [];
  const thread = new WorkerThread((reason) => ends.push(reason));
  const nowhere: RedisTarget = { kind: "single", options: { host: "127.0.0.1", port: await freePort() } };
  await expect(thread.start(settings(nowhere))).rejects.toThrow(/ECONNREFUSED|Connection is closed/);
  await expect.poll(() => ends).toEqual([expect.stringMatching(/^the workers' thread has ended: .*Error/)]);
  for (const late of [thread.report(), thread.start(settings(nowhere))]) {
    await expect(late).rejects.toThrow("the workers' thread has ended");
  }
  // Nothing is left to be stopped.
  await thread.stop();
});

test("the service is not ready while a partition is stopped", async () => {
  const app = await startTestApp([{ name: "all", event: "*", windows: ["1h"] }]);
  onTestFinished(() => app.stop());
  expect((await app.call("GET", "/readyz")).status).toBe(200);
  const client = new Redis({ path: join(app.dataDir, "redis", "redis.sock") });
  onTestFinished(() => client.disconnect());
  // What somebody else wrote there, and no script expects.
  const [partition] = partitionKeys(1);
  await client.set(partition?.clocks as string, "not a hash");
  await app.call("POST", "/v1/events", [{ id: "a", type: "t" }]);
  await expect.poll(async () => (await app.call("GET", "/readyz")).status).toBe(503);
  const { troubles } = (await app.call("GET", "/readyz")).body;
  expect(troubles).toEqual(["1 partitions are stopped by an error; see the log"]);
});
