import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { Http } from "../../src/client/http.ts";
import type { LiveState, Tallymark, TallymarkError, ValueAnswer } from "../../src/client/index.ts";
import { Live } from "../../src/client/live.ts";
import type { LiveQuery } from "../../src/client/types.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { TcpProxy } from "../support/proxy.ts";
import { openClient, Told } from "./helpers.ts";

let app: TestApp;
let proxy: TcpProxy;

beforeAll(async () => {
  app = await startTestApp([{ name: "views", event: "view", by: ["subject"], windows: ["1m"] }]);
  proxy = await TcpProxy.start({ host: "127.0.0.1", port: Number(new URL(app.url).port) });
});

afterAll(async () => {
  await proxy.stop();
  await app.stop();
});

/** Everything that a subscription tells, in order. */
function follow(client: Pick<Tallymark, "subscribe">, query: LiveQuery) {
  const told = new Told<{ on: string; what: unknown }>();
  const note = (on: string) => (what: unknown) => told.tell({ on, what });
  const subscription = client.subscribe(query, {
    onSnapshot: note("snapshot"),
    onUpdate: note("update"),
    onError: note("error"),
    onState: note("state"),
  });
  const shows = (count: number, from = 0) =>
    told.until(({ on, what }) => (on === "snapshot" || on === "update") && (what as ValueAnswer).count === count, from);
  const enters = (state: LiveState, from = 0) => told.until((it) => it.on === "state" && it.what === state, from);
  return { told, subscription, shows, enters };
}

const view = (client: Tallymark, subject: string) => client.send({ type: "view", subject }, { wait: "applied" });
const value = (subject: string): LiveQuery => ({
  feed: "value",
  counter: "views",
  key: [subject],
  last: "1h",
  every: "100ms",
});

test("a subscription begins with a snapshot, then follows what is counted", async () => {
  const { client } = openClient({ url: app.url });
  await view(client, "/a");
  const { told, shows, subscription } = follow(client, value("/a"));
  expect(subscription.state).toBe("connecting");
  await shows(1);
  await view(client, "/a");
  await shows(2);
  const told1 = told.values.map(({ on, what }) => (on === "state" ? what : on));
  expect(told1.slice(0, 2)).toEqual(["open", "snapshot"]);
  expect(told.values.at(-1)?.what).toMatchObject({ counter: "views", key: ["/a"], count: 2 });
  subscription.unsubscribe();
  expect(told.values.at(-1)).toEqual({ on: "state", what: "closed" });
  await view(client, "/a");
  const end = told.values.length;
  await follow(client, value("/a")).shows(3);
  expect(told.values.length).toBe(end);
});

test("all subscriptions share one connection, which goes with the last of them", async () => {
  const clients = () => readMetric(app.url, "tallymark_live_clients");
  await expect.poll(clients, { timeout: 10_000 }).toBe(0);
  const { client } = openClient({ url: app.url });
  const subjects = ["/s1", "/s2", "/s3"];
  const follows = subjects.map((subject) => follow(client, value(subject)));
  await Promise.all(follows.map(({ shows }) => shows(0)));
  const later = follow(client, { feed: "top", counter: "views", last: "1h" });
  await later.told.until(({ on }) => on === "snapshot");
  expect(later.told.values[0]).toEqual({ on: "state", what: "open" });
  expect(await clients()).toBe(1);
  for (const { subscription } of [...follows, later]) subscription.unsubscribe();
  await expect.poll(clients, { timeout: 10_000 }).toBe(0);
  // A new one after that makes a connection of its own.
  await follow(client, value("/s1")).shows(0);
});

test("a connection that is cut is made again, and shows what happened meanwhile", async () => {
  const direct = openClient({ url: app.url }).client;
  const { client } = openClient({ url: `http://127.0.0.1:${proxy.port}` });
  const { told, shows, enters } = follow(client, value("/cut"));
  await shows(0);
  for (let n = 1; n <= 3; n++) {
    const from = told.values.length;
    proxy.cut();
    await view(direct, "/cut");
    await enters("reconnecting", from);
    await enters("open", from);
    const shown = await shows(n, from);
    expect(shown.on).toBe("snapshot");
  }
});

test("what the service cannot mend ends the subscription, and no other", async () => {
  const { client } = openClient({ url: app.url });
  const good = follow(client, value("/good"));
  const bad = follow(client, { feed: "value", counter: "nobody", last: "1h" });
  const { what } = await bad.told.until(({ on }) => on === "error");
  expect(what as TallymarkError).toMatchObject({ status: 404, code: "unknown_counter" });
  expect(bad.subscription.state).toBe("closed");
  await good.shows(0);
  await view(client, "/good");
  await good.shows(1);
});

test("stats", async () => {
  const { client } = openClient({ url: app.url });
  const told = new Told<{ counter: string; watermark: string | null }>();
  client.subscribe({ feed: "stats" }, { onData: ({ counters }) => counters.forEach(told.tell) });
  expect(await told.until(({ counter }) => counter === "views")).toHaveProperty("watermark");
});

test("a connection on which nothing passes any more is noticed", async () => {
  const live = new Live(new Http({ url: `http://127.0.0.1:${proxy.port}`, requestTimeoutMs: 1_000 }), 300);
  onTestFinished(() => live.close());
  const { told, shows, enters } = follow(live, value("/frozen"));
  await shows(0);
  // Quiet alone is no reason: the service answers the question that is asked after it.
  const quietSince = performance.now();
  const states = () => told.values.filter(({ on }) => on === "state").length;
  await expect.poll(() => performance.now() - quietSince, { timeout: 5_000 }).toBeGreaterThan(1_500);
  expect(states()).toBe(1);
  const from = told.values.length;
  proxy.frozen = true;
  await enters("reconnecting", from);
  proxy.frozen = false;
  await enters("open", from);
  await shows(0, from);
});

test("close ends all subscriptions, and no further one is taken", async () => {
  const { client } = openClient({ url: app.url });
  const { told, shows, subscription } = follow(client, value("/close"));
  await shows(0);
  await client.close();
  expect(told.values.at(-1)).toEqual({ on: "state", what: "closed" });
  subscription.unsubscribe();
  expect(told.values.filter(({ what }) => what === "closed")).toHaveLength(1);
  expect(() => client.subscribe({ feed: "stats" }, {})).toThrow("the client is closed");
});

/** The protocol's odd corners, which the service shows rarely. */
async function startScript(converse: (socket: WebSocket, number: number) => void) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", path: "/v1/live" });
  await once(server, "listening");
  const frames: Record<string, unknown>[][] = [];
  const addresses: string[] = [];
  server.on("connection", (socket, request) => {
    const own: Record<string, unknown>[] = [];
    frames.push(own);
    addresses.push(request.url ?? "");
    socket.on("message", (data) => {
      own.push(JSON.parse(data.toString()));
      if (own.length === 1) converse(socket, frames.length);
    });
  });
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, frames, addresses };
}

test("alerts go on after the last transition that was seen", async () => {
  const transitions = (...ids: string[]) => ({ events: ids.map((id) => ({ id })), last: ids.at(-1) });
  const script = await startScript((socket, number) => {
    if (number > 1) return;
    const send = (event: string, data: unknown) => socket.send(JSON.stringify({ id: "s1", event, seq: 0, data }));
    send("snapshot", transitions("5-0"));
    send("update", transitions("6-0", "7-0"));
    socket.close(4008, "too slow");
  });
  const { client } = openClient({ url: script.url, apiKey: "tm_key&x" });
  const { told } = follow(client, { feed: "alerts", after: "4-0" });
  await expect.poll(() => script.frames[1]?.length, { timeout: 10_000 }).toBe(1);
  expect(script.frames.map(([frame]) => frame?.after)).toEqual(["4-0", "7-0"]);
  expect(told.values.map(({ on }) => on)).toEqual(["state", "snapshot", "update", "state", "state"]);
  expect(script.addresses).toEqual(Array(2).fill("/v1/live?token=tm_key%26x"));
});

test("frames that say nothing to anybody are passed over", async () => {
  const script = await startScript((socket) => {
    for (const text of ["nonsense", "[]", "null", '{"id":"s9","event":"update"}', '{"id":"s1","event":"hello"}']) {
      socket.send(text);
    }
    socket.send(Buffer.from([1, 2, 3]));
    socket.send(JSON.stringify({ event: "error", problem: { status: 400, code: "bad_request", detail: "no" } }));
    socket.send(
      JSON.stringify({ id: "s1", event: "error", problem: { status: 503, code: "unavailable", detail: "" } }),
    );
    socket.send(JSON.stringify({ id: "s1", event: "snapshot", seq: 0, data: { count: 1 } }));
  });
  const { client } = openClient({ url: script.url });
  const { told, shows } = follow(client, value("/odd"));
  await shows(1);
  // After what may pass by itself the subscription goes on.
  expect(told.values.map(({ on }) => on)).toEqual(["state", "error", "snapshot"]);
});

test("nobody there: it goes on trying, and says why not", async () => {
  const script = await startScript(() => {});
  const { client } = openClient({ url: script.url.replace("127.0.0.1", "127.0.0.2") });
  const reasons = new Told<string>();
  const subscription = client.subscribe({ feed: "stats" }, { onState: (_, reason) => reasons.tell(reason ?? "") });
  await reasons.until((reason) => reason.includes("ECONNREFUSED"));
  await reasons.until((reason) => reason.includes("ECONNREFUSED"), 1);
  expect(subscription.state).toBe("reconnecting");
});
