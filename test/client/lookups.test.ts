import { afterAll, beforeAll, expect, test } from "vitest";
import { Tallymark, TallymarkError } from "../../src/client/index.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { freePort } from "../support/ports.ts";
import { openClient } from "./helpers.ts";

const HOUR = Date.parse("2026-01-01T12:00:00Z");

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp([
    { name: "sales", event: "sale", by: ["subject", "data.country"], sum: "data.amount", windows: ["1m", "1h"] },
    { name: "many", event: "many", by: ["subject"], windows: ["1h"], top: false },
  ]);
  const client = new Tallymark({ url: app.url });
  const sale = (subject: string, country: string, amount: number, minute: number) =>
    ({ type: "sale", subject, time: HOUR + minute * 60_000, data: { country, amount } }) as const;
  await client.send([sale("/a b", "FR", 1.5, 0), sale("/a b", "DE", 2, 1), sale("/c", "FR", 4, 1)], {
    wait: "applied",
  });
  const many = Array.from({ length: 2_500 }, (_, i) => ({ type: "many", subject: `k${String(i).padStart(4, "0")}` }));
  await client.send(many, { wait: "applied" });
  await client.close();
});

afterAll(() => app.stop());

const client = () => openClient({ url: `${app.url}/` }).client;
const span = { from: HOUR, to: new Date(HOUR + 3_600_000).toISOString() };

test("value, of a key and in total", async () => {
  const value = await client().value("sales", { key: ["/a b", "FR"], ...span });
  expect(value).toMatchObject({ counter: "sales", key: ["/a b", "FR"], count: 1, sum: 1.5, final: false });
  expect(await client().value("sales", { last: "1h" })).toMatchObject({ key: null, count: 3, sum: 7.5 });
});

test("series", async () => {
  const series = await client().series("sales", { window: "1m", from: HOUR, to: HOUR + 180_000 });
  expect(series.buckets.map(({ count, sum }) => [count, sum])).toEqual([
    [1, 1.5],
    [2, 6],
    [0, 0],
  ]);
});

test("top", async () => {
  const { top } = await client().top("sales", { ...span, by: "sum", limit: 2 });
  expect(top).toEqual([
    { key: ["/c", "FR"], count: 1, sum: 4 },
    { key: ["/a b", "DE"], count: 1, sum: 2 },
  ]);
});

test("keys come page by page, in order, and no further than somebody reads", async () => {
  const keys: string[] = [];
  for await (const [key] of client().keys("many")) keys.push(key as string);
  expect(keys).toEqual(Array.from({ length: 2_500 }, (_, i) => `k${String(i).padStart(4, "0")}`));
  const some: string[] = [];
  for await (const [key] of client().keys("many", { prefix: "k12" })) some.push(key as string);
  expect(some).toEqual(keys.filter((key) => key.startsWith("k12")));
});

test("many lookups in one request, of which one fails", async () => {
  const [value, top, series] = await client().query([
    { feed: "value", counter: "sales", ...span },
    { feed: "top", counter: "many", last: "1h" },
    { feed: "series", counter: "sales", window: "1h", ...span },
  ]);
  expect(value).toMatchObject({ count: 3 });
  expect(top).toBeInstanceOf(TallymarkError);
  expect(top).toMatchObject({ status: 409, code: "top_disabled", retryable: false });
  expect(series).toMatchObject({ buckets: [{ count: 3 }] });
  // The types follow the queries.
  if (!(value instanceof TallymarkError)) expect(value.count).toBe(3);
  if (!(series instanceof TallymarkError)) expect(series.buckets[0]?.sum).toBe(7.5);
});

test("a problem is an error with its document", async () => {
  const error = await client()
    .value("nobody")
    .catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TallymarkError);
  expect(error).toMatchObject({
    name: "TallymarkError",
    status: 404,
    code: "unknown_counter",
    retryable: false,
    problem: { type: "urn:tallymark:problem:unknown_counter", status: 404 },
  });
  await expect(client().top("sales", { limit: 0 })).rejects.toMatchObject({ code: "invalid_parameter" });
  await expect(client().keys("nobody")[Symbol.asyncIterator]().next()).rejects.toMatchObject({ status: 404 });
});

test("no answer is an error that may pass", async () => {
  const nowhere = openClient({ url: `http://127.0.0.1:${await freePort()}` }).client;
  await expect(nowhere.value("sales")).rejects.toMatchObject({ status: 0, code: "network", retryable: true });
  await expect(nowhere.value("sales")).rejects.toThrow(/cannot be reached \(.*ECONNREFUSED/);
});

test("a lookup can be left", async () => {
  await expect(client().value("sales", {}, AbortSignal.abort())).rejects.toMatchObject({ code: "network" });
});
