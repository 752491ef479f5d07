import { afterAll, beforeAll, expect, test } from "vitest";
import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import type { CounterDefinition } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import { createLogger } from "../../src/log.ts";
import { partitionKeys } from "../../src/redis/keys.ts";
import { call } from "../support/app.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";

/** A Redis Cluster of three primaries, eight partitions spread over them. */

let cluster: TestCluster;
let url: string;
let stop: () => Promise<void>;

const COUNTER = {
  name: "views",
  event: "view",
  by: ["subject"],
  unique: "data.user",
  sum: "data.n",
  windows: ["1m", "1h"],
  lateness: "4000d",
};
const PARTITIONS = 8;

beforeAll(async () => {
  cluster = await startTestCluster(3, 0);
  const config = loadConfig({
    env: { REDIS_URL: cluster.url, TALLYMARK_PORT: "0", TALLYMARK_PARTITIONS: String(PARTITIONS) },
  });
  const counters = [parseCounter(COUNTER) as CounterDefinition];
  const app = await startApp({ ...config, counters }, createLogger("silent"), () => {});
  url = app.url;
  stop = app.stop;
});
afterAll(async () => {
  await stop?.();
  await cluster?.stop();
});

test("partitions spread evenly over the primaries", async () => {
  const slots = await Promise.all(
    partitionKeys(PARTITIONS).map(({ stream }) => cluster.nodes[0]!.client.cluster("KEYSLOT", stream)),
  );
  const perPrimary = [0, 1, 2].map((i) => slots.filter((slot) => Math.floor((Number(slot) * 3) / 16_384) === i).length);
  expect(Math.max(...perPrimary) - Math.min(...perPrimary)).toBeLessThanOrEqual(1);
});

test("events are counted once, and every lookup merges all partitions", async () => {
  const T = Date.parse("2015-09-12T10:00:00Z");
  const events = Array.from({ length: 3_000 }, (_, i) => ({
    id: `e${i}`,
    type: "view",
    subject: `/${i % 7}`,
    time: T + (i % 120) * 60_000,
    data: { user: `u${i % 500}`, n: 0.25 },
  }));
  const send = async (some: object[]) => (await call(url, "POST", "/v1/events?wait=applied", some)).body;
  for (let i = 0; i < events.length; i += 500) {
    expect(await send(events.slice(i, i + 500))).toMatchObject({ accepted: 500, applied: 500 });
  }
  expect(await send(events.slice(0, 500).reverse())).toMatchObject({ applied: 0, duplicates: 500 });

  const get = async (path: string) => (await call(url, "GET", `/v1/counters/views/${path}`)).body;
  const span = `from=${T}&to=${T + 7_200_000}`;
  const total = await get(`value?${span}`);
  expect(total).toMatchObject({ count: 3_000, sum: 750 });
  expect(Math.abs(total.unique - 500)).toBeLessThan(500 * 0.0243);
  const series = await get(`series?window=1h&${span}`);
  expect(series.buckets.map(({ count }: { count: number }) => count)).toEqual([1_500, 1_500]);
  for (const { unique } of series.buckets) expect(Math.abs(unique - 500)).toBeLessThan(500 * 0.0243);
  const { top } = await get(`top?limit=2&${span}`);
  expect(top).toEqual([
    { key: ["/0"], count: 429, sum: 107.25 },
    { key: ["/1"], count: 429, sum: 107.25 },
  ]);
  expect((await get("keys")).keys).toHaveLength(7);
  expect((await get(`value?key=/3&${span}`)).count).toBe(429);
});
