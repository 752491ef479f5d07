import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { measureKeys } from "../../load/memory.ts";
import { KEY_KINDS } from "../../src/redis/keys.ts";
import { surveyMemory } from "../../src/redis/survey.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { freePort } from "../support/ports.ts";
import { end, spawnRedis } from "../support/redis-process.ts";

const KEYS_MAX = 50;
const MAXMEMORY = 200 * 1024 * 1024;
const EVENTS = 500;

let directory: string;
let server: ChildProcess;
let client: Redis;
let app: TestApp;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tallymark-metrics-"));
  const port = await freePort();
  server = await spawnRedis([], { port, dir: directory, maxmemory: MAXMEMORY });
  client = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on("error", () => {});
  await client.ping();
  app = await startTestApp(
    [{ name: "pages", event: "view", by: ["subject"], unique: "data.user", windows: ["1m", "1h"], keysMax: KEYS_MAX }],
    { REDIS_URL: `redis://127.0.0.1:${port}` },
  );
  const events = Array.from({ length: EVENTS }, (_, i) => ({
    id: `e${i}`,
    type: "view",
    subject: `/${i % 100}`,
    data: { user: `u${i}` },
  }));
  expect((await app.call("POST", "/v1/events?wait=applied", events)).body.applied).toBe(EVENTS);
  await app.call("POST", "/v1/events?wait=applied", events.slice(0, 5));
});
afterAll(async () => {
  await app?.stop();
  client?.disconnect();
  if (server) await end(server);
  await rm(directory, { recursive: true, force: true });
});

const metric = (name: string) => readMetric(app.url, name);

test("events are told by outcome, with how long they took from their arrival", async () => {
  // What is counted is answered at once, and told by the workers' thread a moment later.
  await expect.poll(() => metric('tallymark_events_total{outcome="duplicates"}')).toBe(5);
  expect(await metric('tallymark_events_total{outcome="applied"}')).toBe(EVENTS);
  const entries = await metric("tallymark_ingest_lag_seconds_count");
  expect(entries).toBe(2);
  const seconds = await metric("tallymark_ingest_lag_seconds_sum");
  expect(seconds / entries).toBeGreaterThanOrEqual(0);
  expect(seconds / entries).toBeLessThan(5);
  expect(await metric("tallymark_apply_batch_seconds_count")).toBe(2);
  expect(await metric("tallymark_apply_batch_events_sum")).toBe(EVENTS + 5);
});

test("what is counted under `other` is told, and how near to it a counter is", async () => {
  const other = (await app.call("GET", "/v1/counters/pages/value?last=1h&other=true")).body.count;
  expect(other).toBeGreaterThan(0);
  const copies = await metric("tallymark_keys_refused_total");
  expect(copies).toBeGreaterThanOrEqual(other);
  expect(copies).toBeLessThanOrEqual(other + 5);
  await expect.poll(() => metric('tallymark_keys_admitted_ratio{counter="pages"}'), { timeout: 20_000 }).toBe(1);
});

test("requests are told by the pattern of their route, whatever their address is", async () => {
  for (let i = 0; i < 3; i++) await app.call("GET", `/v1/counters/nothing${i}/value?last=1h`);
  for (let i = 0; i < 4; i++) await app.call("GET", `/nowhere/${i}`);
  const count = (labels: string) => metric(`tallymark_http_request_seconds_count{${labels}}`);
  expect(await count('method="GET",route="/v1/counters/:name/value",status="4xx"')).toBe(3);
  expect(await count('method="any",route="none",status="4xx"')).toBe(4);
  const { body } = await app.call("GET", "/metrics");
  expect(body).not.toContain("nothing1");
  expect(body).not.toContain("/nowhere");
});

test("each answer carries the id of its request", async () => {
  const ids = await Promise.all([1, 2].map(async () => (await app.call("GET", "/livez")).headers.get("x-request-id")));
  expect(ids[0]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(ids[0]).not.toBe(ids[1]);
});

test("memory and backlog are told as ingest's gate sees them", async () => {
  expect(await metric("tallymark_redis_memory_bytes")).toBeGreaterThan(500_000);
  const share = await metric("tallymark_redis_memory_ratio");
  expect(share).toBeCloseTo((await metric("tallymark_redis_memory_bytes")) / MAXMEMORY, 1);
  expect(await metric('tallymark_stream_bytes{partition="0"}')).toBeGreaterThan(0);
});

test("jobs, ledgers and watermarks are told", async () => {
  await expect.poll(() => metric('tallymark_job_seconds_count{queue="close"}'), { timeout: 20_000 }).toBeGreaterThan(1);
  expect(await metric('tallymark_job_failures_total{queue="close"}')).toBeNaN();
  expect(await metric('tallymark_ledger_entries{ledger="late"}')).toBe(0);
  const lag = await metric('tallymark_watermark_lag_seconds{counter="pages"}');
  expect(lag).toBeGreaterThanOrEqual(0);
  expect(lag).toBeLessThan(60);
});

test("a counter that was deleted is told of no more", async () => {
  await app.call("PUT", "/v1/counters/gone", { event: "view", by: ["subject"] });
  await app.call("POST", "/v1/events?wait=applied", [{ id: "g", type: "view", subject: "/" }]);
  const lag = () => metric('tallymark_watermark_lag_seconds{counter="gone"}');
  await expect.poll(lag, { timeout: 20_000 }).toBeGreaterThanOrEqual(0);
  await app.call("DELETE", "/v1/counters/gone");
  await expect.poll(lag, { timeout: 20_000 }).toBeNaN();
});

test("memory by kind of key: keys are counted, bytes come close", async () => {
  // Cells of 3,000 keys of very different length: thousands of keys, of which few are measured.
  await app.call("PUT", "/v1/counters/many", { event: "many", by: ["subject"], windows: ["1m", "1h"], top: true });
  for (let batch = 0; batch < 3; batch++) {
    const events = Array.from({ length: 1_000 }, (_, i) => ({
      type: "many",
      id: `many-${batch}-${i}`,
      subject: `/${batch}/${i}/${"x".repeat(i % 97)}`,
    }));
    expect((await app.call("POST", "/v1/events?wait=applied", events)).body.applied).toBe(1_000);
  }
  const told = await surveyMemory(client, new AbortController().signal);
  const real = await measureKeys(client);
  expect(told.cells.keys).toBeGreaterThan(3_000);
  for (const kind of KEY_KINDS.filter((one) => one !== "jobs" && one !== "other")) {
    expect(Math.abs(told[kind].keys - real[kind].keys), kind).toBeLessThanOrEqual(0.02 * real[kind].keys);
    expect(Math.abs(told[kind].bytes - real[kind].bytes), kind).toBeLessThanOrEqual(0.15 * real[kind].bytes);
  }
});
