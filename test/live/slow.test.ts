import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { LiveClient } from "./client.ts";

const KEYS = 300;
const SUBSCRIPTIONS = 8;
const MIB = 1024 * 1024;

let app: TestApp;
let ticking: NodeJS.Timeout;

/** Rankings of 300 long keys, about 160 kB of JSON each, that change all the time. */
beforeAll(async () => {
  app = await startTestApp([{ name: "views", event: "view", by: ["subject"], windows: ["1m"] }]);
  const keys = Array.from({ length: KEYS }, (_, n) => ({ type: "view", subject: `${n}${"x".repeat(500)}` }));
  await app.call("POST", "/v1/events?wait=applied", keys);
  ticking = setInterval(() => app.call("POST", "/v1/events", { type: "view", subject: "tick" }), 50);
});
afterAll(async () => {
  clearInterval(ticking);
  await app.stop();
});

const metric = (name: string) => readMetric(app.url, name);
const ranking = (limit: number) => ({ feed: "top", counter: "views", limit, last: "1h", every: "100ms" });

test("a frozen viewer holds a bounded buffer, is closed with 4008, and the others go on", async () => {
  const [frozen, other] = [await LiveClient.open(app.url), await LiveClient.open(app.url)];
  for (let n = 0; n < SUBSCRIPTIONS; n++) frozen.subscribe(`t${n}`, ranking(KEYS - n));
  other.subscribe("t", ranking(3));
  await frozen.until(({ id }) => id === `t${SUBSCRIPTIONS - 1}`);
  frozen.socket.pause();
  await expect.poll(() => metric("tallymark_live_buffered_bytes"), { timeout: 30_000 }).toBeGreaterThan(0);
  let most = 0;
  const began = other.received.length;
  await expect
    .poll(
      async () => {
        most = Math.max(most, await metric("tallymark_live_buffered_bytes"));
        return metric("tallymark_live_too_slow_total");
      },
      { timeout: 50_000, interval: 100 },
    )
    .toBe(1);
  expect(most).toBeLessThan(MIB);
  // About 20 to 40 seconds at ten updates a second; a good part of them on the busiest machine.
  expect(other.received.length - began).toBeGreaterThan(50);
  frozen.socket.resume();
  expect((await frozen.closed).code).toBe(4008);
  await other.close();
  await expect.poll(() => metric("tallymark_live_buffered_bytes")).toBe(0);
}, 120_000);

test("a viewer that was slow for a while gets the newest state, not what it missed", async () => {
  const client = await LiveClient.open(app.url);
  for (let n = 0; n < SUBSCRIPTIONS; n++) client.subscribe(`t${n}`, ranking(KEYS - n));
  await client.until(({ id }) => id === `t${SUBSCRIPTIONS - 1}`);
  client.socket.pause();
  await expect.poll(() => metric("tallymark_live_buffered_bytes"), { timeout: 30_000 }).toBeGreaterThan(0);
  const counted = (await app.call("GET", "/v1/counters/views/value?key=tick&last=1h")).body.count;
  const reads = await metric('tallymark_live_read_seconds_count{feed="top"}');
  await expect
    .poll(() => metric('tallymark_live_read_seconds_count{feed="top"}'), { timeout: 60_000 })
    .toBeGreaterThan(reads + 50 * SUBSCRIPTIONS);
  client.received.length = 0;
  client.socket.resume();
  const isNew = ({ id, data }: { id?: string; data?: { top: { key: string[]; count: number }[] } }) =>
    id === "t0" && (data?.top.find(({ key }) => key[0] === "tick")?.count ?? 0) > counted + 50;
  await client.until(isNew);
  // What the operating systems held comes first; beyond that there is one frame of each ranking, not of each tick.
  expect(client.received.filter(({ id }) => id === "t0").length).toBeLessThan(20);
  await client.close();
}, 120_000);

test("a viewer that sends nonsense and reads no answer is closed with 4008", async () => {
  const client = await LiveClient.open(app.url);
  const before = await metric("tallymark_live_too_slow_total");
  client.socket.pause();
  const nonsense = setInterval(() => {
    for (let n = 0; n < 1_000; n++) client.send({ op: "subscribe", id: "x".repeat(100), feed: "?" });
  }, 10);
  await expect
    .poll(() => metric("tallymark_live_too_slow_total"), { timeout: 50_000 })
    .toBe(before + 1)
    .finally(() => clearInterval(nonsense));
  client.socket.resume();
  expect((await client.closed).code).toBe(4008);
}, 120_000);
