import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp(null, { TALLYMARK_PARTITIONS: "2" });
});
afterAll(() => app.stop());

const put = (name: string, definition: unknown) => app.call("PUT", `/v1/counters/${name}`, definition);
const send = (events: unknown) => app.call("POST", "/v1/events?wait=applied", events);
const value = async (name: string) => (await app.call("GET", `/v1/counters/${name}/value?last=1h`)).body.count;

test("without configuration there is the counter `events`", async () => {
  const { body } = await app.call("GET", "/v1/counters");
  expect(body.counters).toEqual([
    {
      name: "events",
      event: "*",
      by: ["type"],
      windows: ["10s", "1m", "1h", "1d"],
      keep: { "10s": "24h", "1m": "24h", "1h": "30d", "1d": "400d" },
      lateness: "10m",
      top: true,
      keysMax: 1_000_000,
    },
  ]);
});

test("a counter is made, counts at once, is shown with its defaults, and deleted", async () => {
  const made = await put("views", { event: "view" });
  expect(made.status).toBe(201);
  expect(made.body).toEqual({
    name: "views",
    event: "view",
    by: ["subject"],
    windows: ["1m", "1h", "1d"],
    keep: { "1m": "24h", "1h": "30d", "1d": "400d" },
    lateness: "10m",
    top: true,
    keysMax: 1_000_000,
  });
  await send([{ type: "view" }, { type: "view" }, { type: "other" }]);
  expect(await value("views")).toBe(2);
  expect((await app.call("GET", "/v1/counters/views")).body).toEqual(made.body);
  expect((await app.call("DELETE", "/v1/counters/views")).status).toBe(204);
  expect((await app.call("GET", "/v1/counters/views")).status).toBe(404);
  expect((await app.call("GET", "/v1/counters/views/value?last=1h")).body.code).toBe("unknown_counter");
  expect((await app.call("DELETE", "/v1/counters/views")).status).toBe(404);
});

test("made anew under its name, it starts empty", async () => {
  await put("again", { event: "again" });
  await send([{ type: "again" }]);
  await app.call("DELETE", "/v1/counters/again");
  await put("again", { event: "again" });
  expect(await value("again")).toBe(0);
  await send([{ type: "again" }]);
  expect(await value("again")).toBe(1);
});

test("retention, lateness and keysMax change in place; anything else is a conflict that names it", async () => {
  await put("fixed", { event: ["a", "b"], windows: ["1m", "1h"] });
  const same = await put("fixed", { event: ["b", "a"], windows: ["60s", "60m"] });
  expect(same.status).toBe(200);
  const changed = await put("fixed", {
    event: ["a", "b"],
    windows: ["1m", "1h"],
    lateness: "1h",
    keysMax: 5,
    keep: { "1m": "3h" },
  });
  expect(changed.status).toBe(200);
  expect((await app.call("GET", "/v1/counters/fixed")).body).toMatchObject({ lateness: "1h", keysMax: 5 });
  const conflict = await put("fixed", { event: "c", by: [], windows: ["1m", "1h"], lateness: "2h" });
  expect(conflict.status).toBe(409);
  expect(conflict.body).toMatchObject({ code: "counter_conflict", fields: ["event", "by"] });
});

test("all faults of a definition are told at once, each with its field", async () => {
  const { status, body } = await put("faulty", {
    by: ["subject", "nothing"],
    windows: ["1m", "90s"],
    lateness: "soon",
    keysMax: 0,
    colour: "red",
    unique: "visitor",
  });
  expect(status).toBe(400);
  expect(body.code).toBe("invalid_counter");
  const fields = body.faults.map(({ field }: { field: string }) => field).sort();
  expect(fields).toEqual(["by.1", "colour", "event", "keysMax", "lateness", "unique", "windows.1"]);
});

test.each([
  ["UPPER", { event: "x" }, "name"],
  ["views", { name: "other", event: "x" }, "name"],
  ["views", { event: "x", keep: { "1m": "30m" } }, "keep.1m"],
  ["views", { event: "x", keep: { "2m": "3h" } }, "keep.2m"],
  ["views", { event: "x", windows: ["1m", "2m", "4m", "8m", "16m"] }, "windows"],
  ["views", { event: "x", by: Array(9).fill("data.a") }, "by"],
])("PUT %s %j is refused because of %s", async (name, definition, field) => {
  const { status, body } = await put(name, definition);
  expect(status).toBe(400);
  expect(body.faults.map((fault: { field: string }) => fault.field)).toContain(field);
});

test("events that arrive while definitions change are counted under one version each", async () => {
  await put("steady", { event: "flow", by: [] });
  const results: Promise<unknown>[] = [];
  for (let i = 0; i < 40; i++) {
    results.push(send([{ type: "flow" }, { type: "flow" }]));
    if (i % 10 === 5) results.push(put(`noise${i}`, { event: "flow", by: [] }));
  }
  await Promise.all(results);
  expect(await value("steady")).toBe(80);
  // Made in between, each has counted whole events only: what it has, its series has too.
  for (const i of [5, 15, 25, 35]) {
    const { body } = await app.call("GET", `/v1/counters/noise${i}/series?last=1h&window=1m`);
    const sum = body.buckets.reduce((n: number, bucket: { count: number }) => n + bucket.count, 0);
    expect(sum).toBe(body.count);
  }
});
