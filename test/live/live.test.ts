import { isDeepStrictEqual } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { LiveClient } from "./client.ts";
import { openEvents } from "./events.ts";

let app: TestApp;
const opened: LiveClient[] = [];

beforeAll(async () => {
  app = await startTestApp([
    { name: "views", event: "view", by: ["subject"], unique: "data.user", sum: "data.n", windows: ["1s", "1m", "1d"] },
    { name: "gone", event: "view", by: [], windows: ["1m", "1d"] },
    { name: "flat", event: "view", by: ["subject"], windows: ["1m"], top: false },
  ]);
});
afterEach(() => Promise.all(opened.splice(0).map((client) => client.close())));
afterAll(() => app.stop());

async function open(headers?: Record<string, string>): Promise<LiveClient> {
  const client = await LiveClient.open(app.url, headers);
  opened.push(client);
  return client;
}

const send = (events: object | object[]) => app.call("POST", "/v1/events?wait=applied", events);
const view = (subject: string, n = 1) => ({ type: "view", subject, data: { user: subject, n } });
/** A span that stays the same, so that only events change an answer. */
const DAY = { from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z" };
const at = (time: string, event: object) => ({ ...event, time });
/** A minute that has passed and that no bucket has closed. */
const THEN_MS = Math.floor(Date.now() / 60_000) * 60_000 - 60_000;
const THEN = new Date(THEN_MS).toISOString();

describe("feeds", () => {
  test("a snapshot, then an update for each change, equal to the lookups", async () => {
    const client = await open();
    const feeds = {
      v: { feed: "value", counter: "views", key: ["/a"], ...DAY },
      s: { feed: "series", counter: "views", window: "1m", from: THEN, to: THEN_MS + 300_000 },
      t: { feed: "top", counter: "views", limit: 2, by: "sum", ...DAY },
    };
    for (const [id, feed] of Object.entries(feeds)) client.subscribe(id, { ...feed, every: "100ms" });
    for (const id of Object.keys(feeds)) await client.until((frame) => frame.id === id && frame.seq === 0);
    expect(client.received.find(({ id }) => id === "v")).toMatchObject({ event: "snapshot", data: { count: 0 } });
    await send([at(THEN, view("/a", 2)), at(THEN, view("/a", 3)), at(THEN, view("/b", 9))]);
    const value = await client.until(({ id, data }) => id === "v" && data.count === 2);
    expect(value).toMatchObject({ event: "update", data: { key: ["/a"], count: 2, sum: 5, unique: 1 } });
    const top = await client.until(({ id, data }) => id === "t" && data.top.length === 2);
    expect(top.data.top.map(({ key }: { key: string[] }) => key[0])).toEqual(["/b", "/a"]);
    await client.until(({ id, data }) => id === "s" && data.count === 3);
    // The watermark ticks, so one of both may be a tick ahead.
    const newest = (wanted: string) => client.received.findLast(({ id }) => id === wanted)?.data;
    const looksAsFed = async () => {
      const { body } = await app.call("POST", "/v1/query", { queries: Object.values(feeds) });
      return isDeepStrictEqual(body.results, Object.keys(feeds).map(newest));
    };
    await expect.poll(looksAsFed).toBe(true);
  });

  test("sequence numbers have no gap, and nothing is sent while nothing changes", async () => {
    const client = await open();
    client.subscribe("a", { feed: "value", counter: "views", key: ["/seq"], ...DAY, every: "100ms" });
    for (let n = 0; n < 5; n++) {
      await client.until(({ data }) => data.count === n);
      await send(at("2020-03-01T12:00:00Z", view("/seq"))); // late for the counter: changes nothing
      await send(at(new Date().toISOString(), view("/seq")));
    }
    await client.until(({ data }) => data.count === 5);
    expect(client.received.map(({ seq }) => seq)).toEqual([...client.received.keys()]);
    const texts = client.received.map(({ data }) => JSON.stringify(data));
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("stats: events per second, backlog, watermarks", async () => {
    await send(view("/stats"));
    const client = await open();
    client.subscribe("s", { feed: "stats", every: "300ms" });
    const sending = setInterval(() => send(view("/stats")), 20);
    const { data } = await client.until(({ data }) => data.eventsPerSecond > 0);
    clearInterval(sending);
    expect(data.backlog).toBeGreaterThanOrEqual(0);
    expect(data.counters).toContainEqual({
      counter: "views",
      watermark: expect.stringMatching(/^\d{4}-.*Z$/),
      lagMs: expect.any(Number),
    });
  });

  test("an end of a subscription is the end of its frames", async () => {
    const client = await open();
    client.subscribe("a", { feed: "stats", every: "100ms" });
    await client.until(({ seq }) => seq === 1);
    client.send({ op: "unsubscribe", id: "a" });
    client.subscribe("b", { feed: "stats", every: "100ms" });
    await client.until(({ id }) => id === "b");
    const count = client.received.filter(({ id }) => id === "a").length;
    await client.until(({ id, seq }) => id === "b" && seq === 4);
    expect(client.received.filter(({ id }) => id === "a")).toHaveLength(count);
  });
});

describe("sharing", () => {
  test("equal subscriptions are read once per tick, whoever and however many look", async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => open()));
    const reads = async () => {
      const { body } = await app.call("GET", "/metrics");
      return Number(/^tallymark_live_read_seconds_count\{feed="top"\} (\d+)/m.exec(body)?.[1] ?? 0);
    };
    const before = await reads();
    // The same in other words: field order and an explicit default.
    for (const [i, client] of clients.entries()) {
      const span = { ...DAY, counter: "views" };
      client.subscribe("t", i % 2 ? { feed: "top", ...span, every: "1s" } : { ...span, every: "1000ms", feed: "top" });
    }
    await Promise.all(clients.map((client) => client.until(({ seq }) => seq === 0)));
    await send(view("/shared"));
    await Promise.all(clients.map((client) => client.until(({ seq }) => seq === 1)));
    const { body } = await app.call("GET", "/metrics");
    expect(body).toMatch(/^tallymark_live_clients 20$/m);
    expect(body).toMatch(/^tallymark_live_topics 1$/m);
    expect((await reads()) - before).toBeLessThanOrEqual(4);
  });

  test("nothing is read once the last viewer has left", async () => {
    const client = await open();
    client.subscribe("a", { feed: "stats", every: "100ms" });
    await client.until(({ seq }) => seq === 0);
    await opened.pop()?.close();
    await expect.poll(async () => (await app.call("GET", "/metrics")).body).toMatch(/^tallymark_live_topics 0$/m);
  });
});

describe("what is wrong comes as a frame, and the rest goes on", () => {
  test.each([
    ["not JSON", "{", undefined, "bad_request", "JSON"],
    ["no object", "[1]", undefined, "bad_request", "object"],
    ["no id", { op: "subscribe", feed: "stats" }, undefined, "invalid_parameter", "id"],
    ["another op", { op: "dance", id: "a" }, "a", "invalid_parameter", "op"],
    ["another feed", { op: "subscribe", id: "a", feed: "x" }, "a", "invalid_parameter", "feed"],
    ["no counter", { op: "subscribe", id: "a", feed: "value", last: "1m" }, "a", "invalid_parameter", "counter"],
    [
      "an unknown counter",
      { op: "subscribe", id: "a", feed: "value", counter: "x", last: "1m" },
      "a",
      "unknown_counter",
      "x",
    ],
    ["no span", { op: "subscribe", id: "a", feed: "value", counter: "views" }, "a", "invalid_span", "last"],
    [
      "a key of no strings",
      { op: "subscribe", id: "a", feed: "value", counter: "views", key: [1], last: "1m" },
      "a",
      "invalid_parameter",
      "key",
    ],
    [
      "too many parts of a key",
      { op: "subscribe", id: "a", feed: "value", counter: "views", key: ["a", "b"], last: "1m" },
      "a",
      "invalid_key",
      "key",
    ],
    ["every too short", { op: "subscribe", id: "a", feed: "stats", every: "99ms" }, "a", "invalid_parameter", "every"],
    [
      "a ranking that is not kept",
      { op: "subscribe", id: "a", feed: "top", counter: "flat", last: "1m" },
      "a",
      "top_disabled",
      "flat",
    ],
    ["an id that is not subscribed", { op: "unsubscribe", id: "a" }, "a", "not_found", "a"],
  ])("%s", async (_, frame, id, code, detail) => {
    const client = await open();
    client.subscribe("good", { feed: "stats", every: "100ms" });
    client.send(frame);
    const { problem, ...error } = await client.until(({ event }) => event === "error");
    expect(error).toEqual({ event: "error", ...(id && { id }) });
    expect(problem).toMatchObject({ code, detail: expect.stringContaining(detail) });
    const { seq = 0 } = await client.until(({ id }) => id === "good");
    await client.until((frame) => frame.id === "good" && frame.seq === seq + 2);
  });

  test("a binary frame", async () => {
    const client = await open();
    client.socket.send(Buffer.from("{}"));
    expect((await client.until(({ event }) => event === "error")).problem?.detail).toContain("text");
  });

  test("more subscriptions than a connection may have", async () => {
    const client = await open();
    for (let n = 0; n <= 200; n++) client.subscribe(`s${n}`, { feed: "stats", every: "1m" });
    const { id, problem } = await client.until(({ event }) => event === "error");
    expect([id, problem?.detail]).toEqual(["s200", expect.stringContaining("200")]);
    client.subscribe("s7", { feed: "stats", every: "1s" });
    await client.until((frame) => frame.id === "s7" && frame.seq === 1);
  });

  test("a counter that is deleted while it is watched, and made anew", async () => {
    const client = await open();
    const feed = { feed: "value", counter: "gone", ...DAY, every: "100ms" };
    client.subscribe("a", feed);
    await client.until(({ event }) => event === "snapshot");
    await app.call("DELETE", "/v1/counters/gone");
    expect((await client.until(({ event }) => event === "error")).problem?.code).toBe("unknown_counter");
    await app.call("PUT", "/v1/counters/gone", { name: "gone", event: "view", by: [], windows: ["1m", "1d"] });
    client.received.length = 0;
    client.subscribe("a", feed);
    expect(await client.until(({ id }) => id === "a")).toMatchObject({ event: "snapshot", seq: 0 });
  });

  test("a frame beyond 64 KiB ends that connection alone", async () => {
    const [client, other] = [await open(), await open()];
    client.send("x".repeat(64 * 1024 + 1));
    expect((await client.closed).code).toBe(1009);
    opened.splice(opened.indexOf(client), 1);
    other.subscribe("a", { feed: "stats" });
    await other.until(({ seq }) => seq === 0);
  });
});

describe("origins", () => {
  test("pages of this host and programs may connect, pages of others may not", async () => {
    await open({ origin: app.url });
    await open();
    const refused = await fetch(`${app.url}/v1/live/sse?feed=stats`, { headers: { origin: "https://evil.example" } });
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([403, "forbidden_origin"]);
    await expect(LiveClient.open(app.url, { origin: "https://evil.example" })).rejects.toThrow("403");
    await expect(LiveClient.open(app.url, { origin: "null" })).rejects.toThrow("403");
  });

  test("a plain request is told to upgrade", async () => {
    expect(await app.call("GET", "/v1/live")).toMatchObject({ status: 426, body: { code: "upgrade_required" } });
  });
});

describe("server-sent events", () => {
  test("a snapshot and updates", async () => {
    const span = `from=${DAY.from}&to=${DAY.to}`;
    const { response, events, close } = await openEvents(
      `${app.url}/v1/live/sse?feed=value&counter=views&key=%2Fsse&${span}&every=100ms`,
    );
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(await events.next()).toMatchObject({ value: { event: "snapshot", data: { count: 0, key: ["/sse"] } } });
    await send(view("/sse"));
    for await (const { event, data } of events) {
      expect(event).toBe("update");
      if (data.count === 1) break;
    }
    close();
  });

  test("what is wrong is a problem before the stream begins, and an event after", async () => {
    const { status, body } = await app.call("GET", "/v1/live/sse?feed=value&counter=views&every=1ms");
    expect([status, body.code, body.detail]).toEqual([400, "invalid_parameter", expect.stringContaining("every")]);
    const { events, close } = await openEvents(`${app.url}/v1/live/sse?feed=value&counter=nothing&last=1m`);
    const { value } = await events.next();
    expect(value).toMatchObject({ event: "error", data: { code: "unknown_counter" } });
    close();
  });
});
