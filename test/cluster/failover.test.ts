import { afterAll, beforeAll, expect, test } from "vitest";
import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import type { CounterDefinition } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import { createLogger } from "../../src/log.ts";
import { call } from "../support/app.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { Sender } from "./sender.ts";

/** A cluster of three primaries with a replica each; one primary is killed while events flow. */

let cluster: TestCluster;
let url: string;
let stop: () => Promise<void>;

beforeAll(async () => {
  cluster = await startTestCluster(3, 1);
  const config = loadConfig({
    env: {
      REDIS_URL: cluster.url,
      TALLYMARK_PORT: "0",
      TALLYMARK_PARTITIONS: "6",
      TALLYMARK_DURABILITY: "replicas:1",
    },
  });
  const counter = { name: "all", event: "*", by: ["subject"], windows: ["1m", "1h"], lateness: "4000d" };
  const app = await startApp(
    { ...config, counters: [parseCounter(counter) as CounterDefinition] },
    createLogger("silent"),
    () => {},
  );
  url = app.url;
  stop = app.stop;
});
afterAll(async () => {
  await stop?.();
  await cluster?.stop();
});

const T = Date.parse("2015-09-12T10:00:00Z");

test("a primary dies under load, its replica takes over, and every event counts once", {
  timeout: 90_000,
}, async () => {
  const batches = Array.from({ length: 60 }, (_, b) =>
    Array.from({ length: 50 }, (_, i) => ({ id: `e${b}.${i}`, type: "t", subject: `${i % 5}`, time: T + i * 1_000 })),
  );
  const sender = new Sender(url);
  let failover: Promise<void> | undefined;
  for (const [b, batch] of batches.entries()) {
    if (b === 20) failover = cluster.failOver(0);
    await sender.deliver(batch);
  }
  await failover;
  expect([...sender.answers.keys()].sort()).toEqual([202, 503]);
  const read = async () => (await call(url, "GET", `/v1/counters/all/value?from=${T}&to=${T + 60_000}`)).body;
  await expect.poll(async () => (await read()).count, { timeout: 30_000, interval: 100 }).toBe(3_000);
  const { body } = await call(url, "GET", `/v1/counters/all/top?from=${T}&to=${T + 60_000}`);
  expect(body.top.map(({ count }: { count: number }) => count)).toEqual([600, 600, 600, 600, 600]);
});
