import { expect, test } from "vitest";
import { json } from "../cli/helpers.ts";
import { applied, type Received, startStub, unavailable } from "../cli/replay/stub.ts";
import { openClient } from "./helpers.ts";

/** Odd answers that no healthy service gives on request. */

const ids = (lines: readonly string[]) => lines.map((line) => (JSON.parse(line) as { id: string }).id);
const firstly = (times: number, answer: (received: Received) => void) => (received: Received) =>
  received.number <= times ? answer(received) : applied(received);

test("Retry-After is honoured, and the try that follows carries the same ids", async () => {
  const times: number[] = [];
  const stub = await startStub((received) => {
    times.push(performance.now());
    firstly(1, (first) => unavailable(first, { "retry-after": "1" }, 429))(received);
  });
  const { client } = openClient({ url: stub.url });
  client.track({ type: "t" });
  await client.flush();
  expect((times[1] as number) - (times[0] as number)).toBeGreaterThanOrEqual(990);
  expect(stub.requests[1]).toEqual(stub.requests[0]);
  expect([...stub.paths]).toEqual(["POST /v1/events application/x-ndjson"]);
});

test.each([408, 429, 500, 502, 503, 504])("%i is tried again", async (status) => {
  const stub = await startStub(firstly(2, (received) => unavailable(received, {}, status)));
  const { client, drops } = openClient({ url: stub.url });
  const id = client.track({ type: "t" });
  await client.flush();
  expect(stub.requests.map(ids)).toEqual([[id], [id], [id]]);
  expect([drops, client.stats.retries]).toEqual([[], 2]);
});

test("one request at a time keeps the order, also when one is tried again", async () => {
  const stub = await startStub((received) => (received.number === 2 ? unavailable(received) : applied(received)));
  const { client } = openClient({ url: stub.url, batchEvents: 10 });
  const sent = Array.from({ length: 45 }, () => client.track({ type: "t" }));
  await client.flush();
  expect(stub.mostInFlight).toBe(1);
  expect(stub.requests.map(({ length }) => length)).toEqual([10, 10, 10, 10, 10, 5]);
  expect([stub.requests[0], ...stub.requests.slice(2)].flatMap((lines) => ids(lines ?? []))).toEqual(sent);
});

test("a batch stays within its bytes; an event that is larger goes alone", async () => {
  const stub = await startStub();
  const { client } = openClient({ url: stub.url, batchBytes: 1_000 });
  for (const length of [400, 400, 5_000, 10]) client.track({ type: "x".repeat(length) });
  await client.flush();
  expect(stub.requests.map(({ length }) => length)).toEqual([2, 1, 1]);
});

test("what a 400 names is dropped, and the others are sent again", async () => {
  const rejected = [
    { index: 1, code: "invalid_type", detail: "type: must not be empty" },
    { index: 99, code: "nonsense", detail: "" },
  ];
  const stub = await startStub(
    firstly(1, ({ response }) => json(response, 400, { status: 400, code: "invalid_events", detail: "", rejected })),
  );
  const { client, drops } = openClient({ url: stub.url });
  const sent = ["a", "b", "c"].map((type) => client.track({ type }));
  await client.flush();
  expect(drops).toEqual([
    {
      reason: "rejected",
      events: [{ id: sent[1], type: "b" }],
      code: "invalid_type",
      detail: "type: must not be empty",
    },
  ]);
  expect(stub.requests.map(ids)).toEqual([sent, [sent[0], sent[2]]]);
  expect(client.stats).toMatchObject({ acknowledged: 2, dropped: 1, queued: 0, queuedBytes: 0 });
});

test.each([
  [400, "bad_request"],
  [401, "unauthorized"],
  [403, "forbidden"],
  [415, "unsupported_media_type"],
])("%i drops the batch, named by the problem's code", async (status, code) => {
  const stub = await startStub(({ response }) => json(response, status, { status, code, detail: "no" }));
  const { client, drops } = openClient({ url: stub.url });
  client.track({ type: "a" });
  client.track({ type: "b" });
  await client.flush();
  expect(drops).toMatchObject([{ reason: "rejected", code, detail: "no", events: [{ type: "a" }, { type: "b" }] }]);
  expect(stub.requests).toHaveLength(1);
});

test("a request that is too large is halved until the event at fault is alone", async () => {
  const stub = await startStub((received) => {
    const tooLarge = { status: 413, code: "too_large", detail: "too large" };
    if (received.lines.some((line) => line.includes("huge"))) json(received.response, 413, tooLarge);
    else applied(received);
  });
  const { client, drops } = openClient({ url: stub.url });
  for (const type of ["a", "b", "huge", "d", "e"]) client.track({ type });
  await client.flush();
  expect(drops).toMatchObject([{ reason: "rejected", code: "too_large", events: [{ type: "huge" }] }]);
  expect(client.stats).toMatchObject({ acknowledged: 4, dropped: 1 });
});

test("a success that is not Tallymark's is no success", async () => {
  const stub = await startStub((received) => {
    if (received.number === 1) received.response.writeHead(200).end("<html>Sign in to this network</html>");
    else if (received.number === 2) json(received.response, 200, { ok: true });
    else applied(received);
  });
  const { client } = openClient({ url: stub.url });
  client.track({ type: "t" });
  await client.flush();
  expect(stub.requests).toHaveLength(3);
  expect(client.stats.acknowledged).toBe(1);
});

test("delivery is given up in time, and what came later gets a time of its own", async () => {
  const stub = await startStub(unavailable);
  const { client, drops } = openClient({ url: stub.url, giveUpAfterMs: 500, batchEvents: 1 });
  const began = performance.now();
  client.track({ type: "first" });
  client.track({ type: "second" });
  await client.flush();
  expect(drops).toMatchObject([
    { reason: "gave_up", code: "unavailable", events: [{ type: "first" }] },
    { reason: "gave_up", code: "unavailable", events: [{ type: "second" }] },
  ]);
  expect(performance.now() - began).toBeLessThan(10_000);
  const tries = (type: string) => stub.requests.filter((lines) => lines[0]?.includes(type)).length;
  expect(Math.min(tries("first"), tries("second"))).toBeGreaterThanOrEqual(2);
});

test("a Retry-After beyond the time to give up ends the matter at once", async () => {
  const stub = await startStub((received) => unavailable(received, { "retry-after": "3600" }));
  const { client, drops } = openClient({ url: stub.url, giveUpAfterMs: 60_000 });
  client.track({ type: "t" });
  await client.flush();
  expect(drops).toMatchObject([{ reason: "gave_up" }]);
  expect(stub.requests).toHaveLength(1);
});

test("the queue is bounded in events and bytes; the newest are refused, and told of", async () => {
  const stub = await startStub(unavailable);
  const byEvents = openClient({ url: stub.url, queueEvents: 10 });
  for (let i = 0; i < 15; i++) byEvents.client.track({ type: `t${i}` });
  expect(byEvents.drops.map(({ reason, events }) => [reason, events[0]?.type])).toEqual(
    [10, 11, 12, 13, 14].map((i) => ["queue_full", `t${i}`]),
  );
  const byBytes = openClient({ url: stub.url, queueBytes: 1_000 });
  for (let i = 0; i < 50; i++) byBytes.client.track({ type: "é".repeat(50) });
  expect(byBytes.client.stats.queuedBytes).toBeLessThanOrEqual(1_000);
  expect(byBytes.client.stats.queuedBytes).toBeGreaterThan(850);
  expect(byBytes.client.stats.queued + byBytes.drops.length).toBe(50);
});

test("what is acknowledged makes room again", async () => {
  const stub = await startStub();
  const { client, drops } = openClient({ url: stub.url, queueEvents: 100, batchEvents: 10 });
  for (let round = 0; round < 50; round++) {
    for (let i = 0; i < 100; i++) client.track({ type: "t" });
    await client.flush();
  }
  expect(drops).toEqual([]);
  expect(client.stats).toMatchObject({ acknowledged: 5_000, queued: 0, queuedBytes: 0 });
});

test("an event is sent as it was when it was tracked", async () => {
  const stub = await startStub();
  const { client, drops } = openClient({ url: stub.url });
  const data = { n: 1 };
  client.track({ id: "own", type: "t", data });
  data.n = 2;
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  client.track({ type: "t", data: circular });
  client.track(null as never);
  await client.flush();
  expect(stub.requests.flat().map((line) => JSON.parse(line))).toEqual([{ id: "own", type: "t", data: { n: 1 } }]);
  expect(drops.map(({ reason }) => reason)).toEqual(["unserializable", "unserializable"]);
});

test("flush waits for what was tracked before it, not for what came after", async () => {
  const waiting: (() => void)[] = [];
  const stub = await startStub((received) => {
    if (received.number === 1) applied(received);
    else waiting.push(() => applied(received));
  });
  const { client } = openClient({ url: stub.url, batchEvents: 1 });
  client.track({ type: "before" });
  const flushed = client.flush();
  client.track({ type: "after" });
  await flushed;
  expect(client.stats).toMatchObject({ acknowledged: 1, queued: 1 });
  await expect.poll(() => waiting.length).toBe(1);
  waiting[0]?.();
  await client.flush();
});

test("close sends what is queued, then takes nothing more", async () => {
  const stub = await startStub();
  const { client, drops } = openClient({ url: stub.url, batchDelayMs: 60_000 });
  const id = client.track({ type: "t" });
  await client.close();
  expect(stub.requests.map(ids)).toEqual([[id]]);
  client.track({ type: "afterwards" });
  expect(drops).toMatchObject([{ reason: "closed", events: [{ type: "afterwards" }] }]);
});

test("close waits no longer than it is told, and says what is left", async () => {
  const stub = await startStub(unavailable);
  const { client, drops } = openClient({ url: stub.url });
  client.track({ type: "a" });
  client.track({ type: "b" });
  await client.close({ timeoutMs: 300 });
  expect(drops).toMatchObject([{ reason: "closed", events: [{ type: "a" }, { type: "b" }] }]);
  const tries = stub.requests.length;
  expect(client.stats.queued).toBe(0);
  await client.flush();
  expect(stub.requests.length).toBe(tries);
});

test("an onDrop that throws ends nothing", async () => {
  const thrown: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => thrown.push(error));
  const stub = await startStub();
  const { client } = openClient({
    url: stub.url,
    queueEvents: 1,
    onDrop: () => {
      throw new Error("of the user");
    },
  });
  client.track({ type: "a" });
  expect(() => client.track({ type: "b" })).not.toThrow();
  await client.flush();
  expect(client.stats.acknowledged).toBe(1);
  await expect.poll(() => thrown).toMatchObject([{ message: "of the user" }]);
  for (const listener of listeners) process.on("uncaughtException", listener);
});

test("options out of range are named", () => {
  expect(() => openClient({ url: "localhost:8080" })).toThrow('url: "localhost:8080" is no http or https address');
  expect(() => openClient({ url: "http://localhost", batchEvents: 0 })).toThrow(
    "batchEvents: must be a positive number",
  );
  expect(() => openClient({ url: "http://localhost", giveUpAfterMs: Number.NaN })).toThrow("giveUpAfterMs");
});

test("send gives up when it is told to", async () => {
  const stub = await startStub(unavailable);
  const { client } = openClient({ url: stub.url });
  const controller = new AbortController();
  const sending = client.send({ type: "t" }, { signal: controller.signal });
  await expect.poll(() => stub.requests.length).toBeGreaterThanOrEqual(1);
  controller.abort();
  await expect(sending).rejects.toMatchObject({ name: "TallymarkError" });
});
