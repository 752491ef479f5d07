import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp([
    { name: "views", event: "view", by: ["subject"], sum: "data.amount", windows: ["1m", "1h"], lateness: "10000d" },
  ]);
});
afterAll(() => app.stop());

const WAIT = "/v1/events?wait=applied";
const NDJSON = { "content-type": "application/x-ndjson" };
let next = 0;
const event = (fields: object = {}) => ({ id: `e${next++}`, type: "view", subject: "/", ...fields });

describe("bodies", () => {
  test("one event, queued", async () => {
    const { status, body } = await app.call("POST", "/v1/events", event());
    expect([status, body]).toEqual([202, { accepted: 1, rejected: [] }]);
  });

  test("an array, applied", async () => {
    const twice = event();
    const { status, body } = await app.call("POST", WAIT, [twice, event(), twice]);
    expect([status, body]).toEqual([200, { accepted: 3, applied: 2, duplicates: 1, late: 0, dead: 0, rejected: [] }]);
  });

  test("NDJSON, with blank lines and Windows line ends", async () => {
    const lines = `${JSON.stringify(event())}\r\n\n${JSON.stringify(event())}\n`;
    expect((await app.call("POST", WAIT, lines, NDJSON)).body).toMatchObject({ accepted: 2, applied: 2 });
  });

  test("gzip of each", async () => {
    const encoding = { "content-encoding": "gzip" };
    const json = gzipSync(JSON.stringify([event(), event()]));
    expect((await app.call("POST", WAIT, json, encoding)).body).toMatchObject({ applied: 2 });
    const lines = gzipSync(`${JSON.stringify(event())}\n`);
    expect((await app.call("POST", WAIT, lines, { ...NDJSON, ...encoding })).body).toMatchObject({ applied: 1 });
  });

  test("CloudEvents: structured, batch and binary mode", async () => {
    const cloud = (fields = {}) => ({ specversion: "1.0", source: "/shop", ...event(fields) });
    const structured = await app.call("POST", WAIT, cloud(), { "content-type": "application/cloudevents+json" });
    expect(structured.body).toMatchObject({ applied: 1 });
    const batch = await app.call("POST", WAIT, [cloud(), cloud()], {
      "content-type": "application/cloudevents-batch+json; charset=utf-8",
    });
    expect(batch.body).toMatchObject({ applied: 2 });
    const binary = await app.call(
      "POST",
      WAIT,
      { amount: 2.5 },
      {
        "ce-specversion": "1.0",
        "ce-id": "binary-1",
        "ce-source": "/shop",
        "ce-type": "view",
        "ce-subject": "caf%C3%A9",
        "ce-time": "2015-09-12T10:00:00+02:00",
      },
    );
    expect(binary.body).toMatchObject({ applied: 1 });
    const { body } = await app.call(
      "GET",
      "/v1/counters/views/value?key=caf%C3%A9&from=2015-09-12T08:00:00Z&to=2015-09-12T08:01:00Z",
    );
    expect(body).toMatchObject({ key: ["café"], count: 1, sum: 2.5 });
  });

  test("an event without an id is given one and counts each time", async () => {
    const { body } = await app.call("POST", WAIT, [{ type: "view" }, { type: "view" }]);
    expect(body).toMatchObject({ applied: 2, duplicates: 0 });
  });
});

describe("one bad event", () => {
  test.each([
    ["invalid_event", 7],
    ["invalid_id", event({ id: "" })],
    ["invalid_id", event({ id: "x".repeat(129) })],
    ["invalid_id", event({ id: "é".repeat(65) })],
    ["invalid_id", event({ id: 5 })],
    ["invalid_source", event({ source: "s".repeat(257) })],
    ["invalid_type", event({ type: undefined })],
    ["invalid_type", event({ type: "" })],
    ["invalid_time", event({ time: "yesterday" })],
    ["invalid_time", event({ time: "2015-02-30T00:00:00Z" })],
    ["invalid_time", event({ time: -1 })],
    ["invalid_time", event({ time: 253_402_300_800_000 })],
    ["time_in_future", event({ time: Date.now() + 6 * 60_000 })],
    ["time_in_future", { type: "view", id: "7ZZZZZZZZZZZZZZZZZZZZZZZZZ" }],
    ["invalid_subject", event({ subject: "s".repeat(1025) })],
    ["invalid_subject", event({ subject: "\ud800" })],
    ["invalid_data", event({ data: [] })],
    ["invalid_data", event({ data: "text" })],
    ["invalid_data", event({ data: { amount: 9_000_000_001 } })],
    ["too_large", event({ data: { blob: "x".repeat(65_536) } })],
  ])("is refused as %s, and its neighbours count", async (code, bad) => {
    const { status, body } = await app.call("POST", WAIT, [event(), bad, event()]);
    expect(status).toBe(200);
    expect(body).toMatchObject({ accepted: 2, applied: 2 });
    expect(body.rejected).toHaveLength(1);
    expect(body.rejected[0]).toMatchObject({ index: 1, code });
    expect(body.rejected[0].detail).toMatch(/must|not|JSON/);
  });

  test("a malformed line of NDJSON takes nothing along", async () => {
    const lines = `${JSON.stringify(event())}\n{"type": oops}\n${JSON.stringify(event())}`;
    const { body } = await app.call("POST", WAIT, lines, NDJSON);
    expect(body).toMatchObject({ accepted: 2, rejected: [{ index: 1, code: "invalid_event" }] });
  });

  test("data nested without end is refused, not a crash", async () => {
    const deep = `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`;
    const { status, body } = await app.call(
      "POST",
      WAIT,
      `[${JSON.stringify(event())},{"type":"view","data":${deep}}]`,
    );
    expect([status, body.accepted, body.rejected[0]?.code]).toEqual([200, 1, "invalid_data"]);
  });

  test("__proto__ in data is data", async () => {
    const { status } = await app.call("POST", WAIT, '{"type":"view","data":{"__proto__":{"amount":5}}}');
    expect(status).toBe(200);
    expect(({} as Record<string, unknown>).amount).toBeUndefined();
  });
});

describe("a request that cannot be taken", () => {
  test.each([
    ["nothing acceptable", 400, "invalid_events", '[{"type":1}]', {}],
    ["malformed JSON", 400, "invalid_events", "{", {}],
    ["an empty array", 400, "invalid_events", "[]", {}],
    ["broken gzip", 400, "bad_request", "{}", { "content-encoding": "gzip" }],
    ["an unknown encoding", 415, "unsupported_media_type", "{}", { "content-encoding": "br" }],
    ["an unknown media type", 415, "unsupported_media_type", "a=b", { "content-type": "text/plain" }],
    ["too many events", 413, "too_large", JSON.stringify(Array(10_001).fill({ type: "view" })), {}],
    ["too many bytes", 413, "too_large", `"${"x".repeat(8 * 1024 * 1024)}"`, {}],
    ["a gzip bomb", 413, "too_large", gzipSync(Buffer.alloc(9 * 1024 * 1024, " ")), { "content-encoding": "gzip" }],
    ["an unknown wait", 400, "invalid_parameter", null, {}],
  ])("%s → %i %s", async (_what, status, code, body, headers) => {
    const path = body === null ? "/v1/events?wait=never" : "/v1/events";
    const answer = await app.call("POST", path, body ?? "{}", headers as Record<string, string>);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
    expect(answer.body).toMatchObject({ status, code });
    if (code === "invalid_events") expect(answer.body.rejected).toBeInstanceOf(Array);
  });
});
