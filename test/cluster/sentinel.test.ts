import { afterEach, beforeEach, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { startTestSentinel, type TestSentinel } from "../support/sentinel.ts";
import { expectCounted } from "./lookups.ts";
import { Sender } from "./sender.ts";
import { COUNTERS, CYCLE, eventsOf, hour } from "./traffic.ts";

/** A primary and its replica under three sentinels; the primary fails while events flow. */

const WITHIN = { timeout: 90_000, interval: 200 };
const BATCH = CYCLE / 5;
const BATCHES = 20;
const [BEFORE, AFTER] = [hour(0), hour(1)];

let redis: TestSentinel;
let app: TestApp;

beforeEach(async () => {
  redis = await startTestSentinel();
  app = await startTestApp(COUNTERS, {
    REDIS_URL: redis.url,
    TALLYMARK_PARTITIONS: "2",
    TALLYMARK_DURABILITY: "replicas:1",
  });
});
afterEach(async () => {
  await app?.stop();
  await redis?.stop();
});

const FAILURES = [
  { failure: "is killed", fail: () => redis.kill(), comeBack: () => redis.revive() },
  { failure: "freezes", fail: async () => redis.freeze(), comeBack: async () => redis.wake() },
  // The sentinel that is asked first says nothing, and closes nothing either.
  { failure: "freezes with a sentinel", fail: async () => redis.freezeMachine(), comeBack: async () => redis.wake() },
];

test.each(FAILURES)(
  "the primary $failure under load, its replica is promoted, and every event counts once",
  { timeout: 300_000 },
  async ({ fail, comeBack }) => {
    const sender = new Sender(app.url);
    for (let b = 0; b < BATCHES; b++) await sender.deliver(eventsOf(BEFORE, b * BATCH, BATCH));
    await fail();
    const first = eventsOf(AFTER, 0, BATCH);
    const offer = async () => [await sender.offer(first), await redis.primaryPort()];
    // The one replica is the primary now and has none itself: it answers, and accepts nothing until the old one is back.
    await expect.poll(offer, WITHIN).toEqual([false, redis.ports.replica]);
    await expectCounted(app.url, BEFORE, BATCHES * BATCH);
    await comeBack();
    for (let b = 0; b < BATCHES; b++) await sender.deliver(eventsOf(AFTER, b * BATCH, BATCH));

    for (const from of [BEFORE, AFTER]) await expectCounted(app.url, from, BATCHES * BATCH);
    expect([202, 503]).toEqual(expect.arrayContaining([...sender.answers.keys()]));
    expect(await redis.replication(redis.ports.primary)).toContain("role:slave");
    expect(await sender.offer(first)).toBe(true);
    expect((await app.call("GET", "/readyz")).body).toMatchObject({ status: "ok" });
  },
);
