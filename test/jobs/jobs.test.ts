import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JOBS_PREFIX } from "../../src/redis/keys.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { findPostgres, startTestPostgres, type TestPostgres } from "../support/postgres.ts";

/** The whole service with its jobs, on a real Postgres that is taken away and given back. */

const HOUR = 3_600_000;
const T = Date.parse("2015-09-12T00:00:00Z");
const COUNTER = {
  name: "c",
  event: "*",
  by: ["subject"],
  unique: "data.user",
  windows: ["1m", "1h", "1d"],
  lateness: "1m",
  keep: { "1m": "61m", "1h": "1441m", "1d": "1d" },
};
const PARTITIONS = 2;
/** Connections for reads; further ones wait for their turn. */
const READS_MAX = 8;

const bin = await findPostgres();

describe.skipIf(bin === null)(bin === null ? "no Postgres server is installed" : "with Postgres", () => {
  let database: TestPostgres;
  let app: TestApp;
  let redis: Redis;
  let sql: pg.Pool;

  beforeAll(async () => {
    database = await startTestPostgres(bin as string);
    sql = new pg.Pool({ connectionString: database.url, max: 1 });
    sql.on("error", () => {});
    app = await startTestApp([COUNTER], {
      DATABASE_URL: database.url,
      TALLYMARK_PARTITIONS: String(PARTITIONS),
    });
    redis = new Redis({ path: join(app.dataDir, "redis", "redis.sock") });
    redis.on("error", () => {});
  });
  afterAll(async () => {
    redis?.disconnect();
    await app?.stop();
    await sql?.end();
    await database?.stop();
  });

  let sent = 0;
  /** An event a minute and partition, more or less, over some hours; both partitions' clocks get to the end. */
  const play = async (fromHour: number, toHour: number) => {
    const events: object[] = [];
    for (let time = T + fromHour * HOUR; time < T + toHour * HOUR; time += 30_000) {
      events.push({ id: `e${sent++}`, type: "t", subject: `/${sent % 5}`, time, data: { user: `u${sent % 50}` } });
    }
    const { status, body } = await app.call("POST", "/v1/events?wait=applied", events);
    expect([status, body.late]).toEqual([200, 0]);
  };
  /** From the second minute on, so that minutes must be read; two events come in each. */
  const total = async () => app.call("GET", `/v1/counters/c/value?from=${T + 60_000}&to=${T + 1_000 * HOUR}`);
  const metric = (name: string) => readMetric(app.url, name);
  const bucketsInRedis = async (counter = "1:1o") => {
    const names = await redis.keys(`tm:*:${counter}:s`);
    return (await Promise.all(names.map((name) => redis.zcard(name)))).reduce((a, b) => a + b, 0);
  };
  const rows = async () => Number((await sql.query("SELECT count(*) AS n FROM cells")).rows[0]?.n);

  /** Statements of the service that wait for a lock. Not asked in a transaction, which would see the first answer again. */
  const waiting = async () => {
    const text = `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE application_name = 'tallymark' AND wait_event_type = 'Lock'`;
    return (await sql.query(text)).rows[0]?.n;
  };

  test("closed buckets are exported and leave Redis by themselves", { timeout: 300_000 }, async () => {
    await play(0, 10);
    // Nine hours and two minutes are closed, all but 61 minutes of them are past their keep.
    await expect.poll(() => bucketsInRedis(), { timeout: 30_000 }).toBeLessThan(2 * 70);
    expect((await total()).body.count).toBe(sent - 2);
  });

  test("cold reads that hang hold no hot one up, and are cancelled when nobody waits for them", {
    timeout: 60_000,
  }, async () => {
    const hot = async () => {
      const times: number[] = [];
      for (let i = 0; i < 50; i++) {
        const begun = performance.now();
        expect((await app.call("GET", "/v1/counters/c/value?last=30m")).body.count).toBe(60);
        times.push(performance.now() - begun);
      }
      return Math.max(...times);
    };
    const before = await hot();
    const holder = new pg.Client(database.url);
    await holder.connect();
    const leaving = new AbortController();
    let hanging: Promise<unknown>[] = [];
    try {
      await holder.query("BEGIN");
      await holder.query("LOCK TABLE cells IN ACCESS EXCLUSIVE MODE");
      const path = `/v1/counters/c/value?from=${T + 60_000}&to=${T + HOUR}`;
      hanging = Array.from({ length: 20 }, () => fetch(app.url + path, { signal: leaving.signal }));
      const ended = Promise.allSettled(hanging);
      await expect.poll(() => waiting(), { timeout: 4_000, interval: 20 }).toBe(READS_MAX);
      // In the order of what it was, on a busy machine; behind a cold one it would wait for seconds.
      expect(await hot()).toBeLessThan(4 * before + 200);
      expect(await waiting()).toBe(READS_MAX);
      leaving.abort();
      // By itself a statement would wait for a lock for 5 s.
      await expect.poll(() => waiting(), { timeout: 2_000, interval: 20 }).toBe(0);
      const reasons = (await ended).map((end) => end.status === "rejected" && end.reason.name);
      expect(reasons).toEqual(reasons.map(() => "AbortError"));
    } finally {
      leaving.abort();
      await holder.end();
      await Promise.allSettled(hanging);
    }
    expect((await total()).body.count).toBe(sent - 2);
  });

  test("without Postgres counting and hot reads go on, and export catches up", { timeout: 300_000 }, async () => {
    await database.kill();
    const before = await bucketsInRedis();
    await play(10, 14);
    await expect.poll(() => metric("tallymark_export_lag_seconds"), { timeout: 30_000 }).toBeGreaterThan(3 * 3_600);
    const hot = await app.call("GET", "/v1/counters/c/value?last=30m");
    expect([hot.status, hot.body.count]).toEqual([200, 60]);
    const cold = await total();
    expect([cold.status, cold.body.code]).toEqual([503, "unavailable"]);
    await expect
      .poll(async () => (await app.call("GET", "/readyz")).body, { timeout: 10_000 })
      .toMatchObject({ status: "degraded", troubles: [], notes: [expect.stringContaining("cold storage")] });
    // Nothing leaves Redis that is not exported.
    expect(await bucketsInRedis()).toBeGreaterThan(before + 4 * 60);
    await database.start();
    await expect.poll(() => metric("tallymark_export_lag_seconds"), { timeout: 60_000 }).toBe(0);
    expect((await total()).body.count).toBe(sent - 2);
    await expect.poll(async () => (await app.call("GET", "/readyz")).body.status).toBe("ok");
  });

  test("BullMQ's keys may all be lost", { timeout: 300_000 }, async () => {
    for (const name of await redis.keys("{tm:jobs}:*")) await redis.del(name);
    await play(14, 18);
    await expect.poll(() => bucketsInRedis(), { timeout: 60_000 }).toBeLessThan(2 * 70);
    expect((await total()).body.count).toBe(sent - 2);
  });

  test("buckets past their coldKeep leave cold storage, and wider ones answer for them", {
    timeout: 300_000,
  }, async () => {
    await play(18, 60);
    await expect.poll(() => metric("tallymark_export_lag_seconds"), { timeout: 60_000 }).toBe(0);
    const change = { ...COUNTER, coldKeep: { "1m": "12h", "1h": "30h" } };
    expect((await app.call("PUT", "/v1/counters/c", change)).status).toBe(200);
    const held = async (windowS: number) =>
      (await sql.query("SELECT min(bucket) AS n FROM cells WHERE window_s = $1", [windowS])).rows[0]?.n;
    const heldAfterCompaction = async () => {
      await compactNow(redis);
      return held(60);
    };
    const options = { timeout: 90_000, interval: 1_000 };
    await expect.poll(heldAfterCompaction, options).toBe(String(T + 47 * HOUR));
    await expect.poll(() => held(3_600), options).toBe(String(T + 24 * HOUR));

    const value = async (from: number, to: number) =>
      (await app.call("GET", `/v1/counters/c/value?from=${T + from}&to=${T + to}`)).body;
    // Widened to whole hours where minutes are gone, and to whole days where hours are.
    expect(await value(30 * HOUR + 60_000, 30 * HOUR + 120_000)).toMatchObject({
      from: new Date(T + 30 * HOUR).toISOString(),
      to: new Date(T + 31 * HOUR).toISOString(),
      count: 120,
    });
    expect(await value(5 * HOUR, 6 * HOUR)).toMatchObject({
      from: new Date(T).toISOString(),
      to: new Date(T + 24 * HOUR).toISOString(),
      count: 24 * 120,
    });
    expect((await value(0, 100 * HOUR)).count).toBe(sent);
    const series = await app.call("GET", `/v1/counters/c/series?window=1m&from=${T}&to=${T + HOUR}`);
    expect([series.status, series.body.code]).toEqual([400, "invalid_span"]);
  });

  test("a deleted counter leaves nothing behind, and one made anew starts empty", { timeout: 300_000 }, async () => {
    expect((await app.call("DELETE", "/v1/counters/c")).status).toBe(204);
    expect((await app.call("PUT", "/v1/counters/c", COUNTER)).status).toBe(201);
    await compactNow(redis);
    await expect.poll(rows, { timeout: 90_000 }).toBe(0);
    await expect.poll(() => redis.hlen("tm:{meta}:deleted")).toBe(0);
    await expect.poll(() => redis.keys("tm:*:1:*")).toEqual([]);
    await expect.poll(() => redis.keys("tm:{a1}:*")).toEqual([]);
    expect((await total()).body).toMatchObject({ count: 0, watermark: null });
  });
});

/** Compaction comes once a minute; asking for it saves the test that minute. */
async function compactNow(redis: Redis): Promise<void> {
  const connection = redis.duplicate({ maxRetriesPerRequest: null });
  const queue = new Queue("compact", { connection, prefix: JOBS_PREFIX });
  await queue.add("compact", {});
  await queue.close();
  connection.disconnect();
}
