import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { JOBS_PREFIX } from "../../src/redis/keys.ts";
import { startTestApp, type TestApp } from "../support/app.ts";

/** Buckets past their keep leave Redis although the job that was to see to it is lost, and nothing else is to be done. */

const HOUR = 3_600_000;
const MINUTE = 60_000;
const T = Date.parse("2015-09-12T00:00:00Z");
const COUNTER = { name: "c", event: "*", windows: ["1m"], lateness: "1m", keep: { "1m": "61m" } };
const [COLD, STARTS] = ["tm:{0}:cold", "tm:{0}:1:1o:s"];

let app: TestApp;
let redis: Redis;
let queue: Queue;
beforeAll(async () => {
  app = await startTestApp([COUNTER]);
  redis = new Redis({ path: join(app.dataDir, "redis", "redis.sock"), maxRetriesPerRequest: null });
  queue = new Queue("forget", { connection: redis, prefix: JOBS_PREFIX });
});
afterAll(async () => {
  await queue?.close();
  redis?.disconnect();
  await app?.stop();
});

test("a job that forgets and is lost is made again, though nothing is to be exported", {
  timeout: 60_000,
}, async () => {
  await queue.pause();
  const events = Array.from({ length: 180 }, (_, i) => ({ id: `${i}`, type: "t", time: T + i * MINUTE }));
  await app.call("POST", "/v1/events?wait=applied", events);
  // All but the last two minutes are closed, and exported; the job that forgets them waits.
  const exported = String(T + 3 * HOUR - 2 * MINUTE);
  await vi.waitFor(
    async () => {
      expect(await redis.hget(COLD, "1:1o")).toBe(`${exported} 0 0`);
      expect(await queue.count()).toBe(1);
    },
    { timeout: 30_000, interval: 50 },
  );
  await queue.drain();
  await queue.resume();
  await vi.waitFor(async () => expect(await redis.zcard(STARTS)).toBe(62), { timeout: 15_000, interval: 50 });
});
