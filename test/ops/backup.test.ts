import { type ChildProcess, execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { freePort } from "../support/ports.ts";
import { findPostgres, startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { end, spawnRedis } from "../support/redis-process.ts";

/** Backup and restore as docs/operations.md says it: Redis first, Postgres second. */

const bin = await findPostgres();
const run = promisify(execFile);
const BASE = Date.UTC(2026, 0, 5);
const MINUTE = 60_000;
const COUNTER = {
  name: "c",
  event: "*",
  by: ["subject"],
  windows: ["1m", "1h"],
  lateness: "1m",
  keep: { "1m": "62m", "1h": "1d" },
};

describe.skipIf(bin === null)(bin === null ? "no Postgres server is installed" : "a backup", () => {
  let directory: string;
  let postgres: TestPostgres;
  const servers: ChildProcess[] = [];
  const apps: TestApp[] = [];

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "tallymark-backup-"));
    postgres = await startTestPostgres(bin as string);
  });
  afterAll(async () => {
    for (const app of apps) await app.stop();
    for (const server of servers) await end(server);
    await postgres?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function startRedis(name: string, options: Record<string, string> = {}): Promise<Redis> {
    const [dir, port] = [join(directory, name), await freePort()];
    await mkdir(dir, { recursive: true });
    servers.push(await spawnRedis([], { port, dir, dbfilename: "dump.rdb", ...options }));
    const client = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null });
    client.on("error", () => {});
    await client.ping();
    return client;
  }
  async function startService(redis: Redis, databaseUrl: string): Promise<TestApp> {
    const app = await startTestApp([COUNTER], {
      REDIS_URL: `redis://127.0.0.1:${redis.options.port}`,
      DATABASE_URL: databaseUrl,
    });
    apps.push(app);
    return app;
  }

  /** Ten events a minute, from one minute to another. */
  async function send(app: TestApp, from: number, to: number) {
    const sum = { applied: 0, duplicates: 0, late: 0 };
    for (let minute = from; minute < to; minute++) {
      const events = Array.from({ length: 10 }, (_, i) => ({
        id: `${minute}-${i}`,
        type: "t",
        subject: `/${i % 3}`,
        time: BASE + minute * MINUTE + i * 5_000,
      }));
      const { body } = await app.call("POST", "/v1/events?wait=applied", events);
      for (const name of ["applied", "duplicates", "late"] as const) sum[name] += body[name];
    }
    return sum;
  }
  const count = async (app: TestApp, query = "") =>
    (await app.call("GET", `/v1/counters/c/value?from=${BASE}&to=${BASE + 24 * 60 * MINUTE}${query}`)).body.count;
  const isExported = (app: TestApp) =>
    expect.poll(() => readMetric(app.url, "tallymark_export_lag_seconds"), { timeout: 60_000, interval: 250 }).toBe(0);

  test("that is restored counts what is sent again once, hot and cold", { timeout: 240_000 }, async () => {
    const redis = await startRedis("before");
    const app = await startService(redis, postgres.url);
    await send(app, 0, 150);
    await isExported(app);

    const saved = await redis.lastsave();
    await redis.bgsave();
    await expect.poll(async () => /rdb_bgsave_in_progress:0/.test(await redis.info("persistence"))).toBe(true);
    expect(await redis.lastsave()).toBeGreaterThanOrEqual(saved);
    await mkdir(join(directory, "after"));
    await copyFile(join(directory, "before", "dump.rdb"), join(directory, "after", "dump.rdb"));
    // What comes between the two backups goes on to Postgres, which is the newer one.
    await send(app, 150, 200);
    await isExported(app);
    const dump = join(directory, "postgres.dump");
    await run(join(bin as string, "pg_dump"), ["-Fc", "-f", dump, postgres.url]);
    await send(app, 200, 230);
    expect(await count(app)).toBe(2_300);
    await app.stop();
    apps.pop();
    redis.disconnect();

    await run(join(bin as string, "psql"), [postgres.url, "-c", "CREATE DATABASE restored"]);
    const database = postgres.url.replace(/postgres$/, "restored");
    await run(join(bin as string, "pg_restore"), ["-d", database, dump]);
    // With an append-only file turned on and none there, Redis would start empty.
    const restored = await startRedis("after", { appendonly: "no" });
    await restored.config("SET", "appendonly", "yes");
    const again = await startService(restored, database);
    expect(await count(again)).toBe(1_500);
    const sent = await send(again, 120, 230);
    expect(sent).toEqual({ applied: 800, duplicates: 300, late: 0 });
    expect(await count(again)).toBe(2_300);
    for (const [key, share] of [
      ["/0", 4],
      ["/1", 3],
      ["/2", 3],
    ] as const) {
      expect(await count(again, `&key=${encodeURIComponent(key)}`), key).toBe(230 * share);
    }
    await isExported(again);
    // What was sent again is what was there.
    expect(await readMetric(again.url, "tallymark_export_rows_differing_total")).toBe(0);
    expect(await count(again)).toBe(2_300);
    restored.disconnect();
  });
});
