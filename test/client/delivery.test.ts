import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { TcpProxy } from "../support/proxy.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { openClient } from "./helpers.ts";

const COUNTERS = [{ name: "all", event: "*", by: ["type"], windows: ["1h"], sum: "data.n" }];

let redis: TestRedis;
let redisProxy: TcpProxy;
let app: TestApp;
let proxy: TcpProxy;

beforeAll(async () => {
  redis = await startTestRedis();
  if (redis.target.kind !== "single") throw new Error("the tests' Redis is a single one");
  redisProxy = await TcpProxy.start(redis.target.options as { host: string; port: number });
  app = await startTestApp(COUNTERS, { REDIS_URL: `redis://127.0.0.1:${redisProxy.port}` });
  proxy = await TcpProxy.start({ host: "127.0.0.1", port: Number(new URL(app.url).port) });
});

afterAll(async () => {
  await proxy.stop();
  await app.stop();
  await redisProxy.stop();
  await redis.stop();
});

const viaProxy = () => `http://127.0.0.1:${proxy.port}`;

/** What the service has counted of a type, once nothing waits any more: a marker event goes last. */
async function counted(type: string): Promise<{ count: number; sum: number }> {
  const { client } = openClient({ url: app.url });
  await client.send({ type: "marker" }, { wait: "applied" });
  return (await client.value("all", { key: [type], last: "2h" })) as { count: number; sum: number };
}

const copies = () => readMetric(app.url, 'tallymark_events_total{outcome="duplicates"}');

test("what is tracked is counted once each, in batches", async () => {
  const { client, drops } = openClient({ url: app.url });
  for (let n = 1; n <= 5_000; n++) client.track({ type: "plain", data: { n } });
  expect(client.stats.queued).toBe(5_000);
  await client.flush();
  expect(client.stats).toEqual({ queued: 0, queuedBytes: 0, acknowledged: 5_000, dropped: 0, retries: 0 });
  expect(drops).toEqual([]);
  expect(await counted("plain")).toMatchObject({ count: 5_000, sum: (5_000 * 5_001) / 2 });
});

test("a reply that was lost doubles nothing", async () => {
  const { client } = openClient({ url: viaProxy() });
  const lost = proxy.loseReplyTo("POST /v1/events");
  for (let n = 1; n <= 100; n++) client.track({ type: "reply-lost", data: { n } });
  await lost;
  await client.flush();
  expect(client.stats).toMatchObject({ acknowledged: 100, retries: 1 });
  expect(await counted("reply-lost")).toMatchObject({ count: 100, sum: 5_050 });
});

test("a request that arrives after its successor doubles nothing", async () => {
  const { client } = openClient({ url: viaProxy() });
  const before = await copies();
  const broken = proxy.deliverLate("POST /v1/events", 500);
  for (let n = 1; n <= 100; n++) client.track({ type: "late-request", data: { n } });
  await broken;
  await client.flush();
  expect(client.stats.retries).toBeGreaterThanOrEqual(1);
  // The copy comes 500 ms after the request that broke; by then its successor has long been counted.
  await expect.poll(copies, { timeout: 10_000 }).toBe(before + 100);
  expect(await counted("late-request")).toMatchObject({ count: 100, sum: 5_050 });
});

test("a black hole is left after the request's time, and nothing is lost", async () => {
  const { client } = openClient({ url: viaProxy(), requestTimeoutMs: 300 });
  proxy.frozen = true;
  for (let n = 1; n <= 100; n++) client.track({ type: "black-hole", data: { n } });
  await expect.poll(() => client.stats.retries, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
  proxy.frozen = false;
  await client.flush();
  expect(await counted("black-hole")).toMatchObject({ count: 100, sum: 5_050 });
});

test("while the service answers 503 because Redis is out of reach, events wait, then count once", async () => {
  const { client, drops } = openClient({ url: app.url });
  redisProxy.frozen = true;
  for (let n = 1; n <= 100; n++) client.track({ type: "no-redis", data: { n } });
  await expect.poll(() => client.stats.retries, { timeout: 30_000 }).toBeGreaterThanOrEqual(1);
  redisProxy.frozen = false;
  await client.flush();
  expect(drops).toEqual([]);
  expect(await counted("no-redis")).toMatchObject({ count: 100, sum: 5_050 });
});

test("through twenty faults in a row every event is counted once", async () => {
  const { client, drops } = openClient({ url: viaProxy(), requestTimeoutMs: 1_000, batchEvents: 50 });
  const total = 4_000;
  const faults = [
    () => proxy.loseReplyTo("POST /v1/events"),
    () => proxy.deliverLate("POST /v1/events", 400),
    async () => proxy.cut(),
    async () => proxy.halfClose(),
  ];
  let n = 0;
  for (let round = 0; round < 20; round++) {
    const met = (faults[round % faults.length] as () => Promise<void>)();
    while (n < ((round + 1) * total) / 20) client.track({ type: "faults", data: { n: ++n } });
    await met;
    // Else all faults meet the same batch, whose tries become rare.
    const { acknowledged } = client.stats;
    await expect.poll(() => client.stats.acknowledged, { timeout: 10_000, interval: 5 }).toBeGreaterThan(acknowledged);
  }
  await client.flush();
  proxy.clear();
  expect(drops).toEqual([]);
  expect(client.stats.acknowledged).toBe(total);
  expect(client.stats.retries).toBeGreaterThanOrEqual(10);
  await expect
    .poll(() => counted("faults"), { timeout: 10_000 })
    .toMatchObject({ count: total, sum: (total * (total + 1)) / 2 });
});

test("send answers with what became of the events", async () => {
  const { client } = openClient({ url: app.url });
  const events = [{ id: "a", type: "sent" }, { id: "a", type: "sent" }, { type: "sent" }];
  expect(await client.send(events, { wait: "applied" })).toEqual({
    accepted: 3,
    applied: 2,
    duplicates: 1,
    late: 0,
    dead: 0,
    rejected: [],
  });
  const mixed = await client.send([{ type: "sent" }, { type: "" }]);
  expect(mixed).toMatchObject({ accepted: 1, rejected: [{ index: 1, code: "invalid_type" }] });
  await expect(client.send({ type: "" })).rejects.toMatchObject({
    name: "TallymarkError",
    status: 400,
    code: "invalid_events",
    retryable: false,
    problem: { rejected: [{ index: 0, code: "invalid_type" }] },
  });
});

test("send tries again with the ids that it made", async () => {
  const { client } = openClient({ url: viaProxy() });
  const lost = proxy.loseReplyTo("POST /v1/events");
  const [answer] = await Promise.all([client.send([{ type: "sent-again" }], { wait: "applied" }), lost]);
  expect(answer).toMatchObject({ accepted: 1, applied: 0, duplicates: 1 });
  expect(await counted("sent-again")).toMatchObject({ count: 1 });
});

test("an invalid event is told of, and takes nothing along", async () => {
  const { client, drops } = openClient({ url: app.url });
  client.track({ type: "mixed" });
  const id = client.track({ type: "mixed", subject: "x".repeat(2_000) });
  client.track({ type: "mixed" });
  await client.flush();
  expect(drops).toEqual([
    {
      reason: "rejected",
      events: [{ id, type: "mixed", subject: "x".repeat(2_000) }],
      code: "invalid_subject",
      detail: "subject: must be at most 1024 bytes of UTF-8",
    },
  ]);
  expect(client.stats).toMatchObject({ acknowledged: 2, dropped: 1 });
  expect(await counted("mixed")).toMatchObject({ count: 2 });
});
