import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { PATIENCE_MS } from "../../../src/cli/replay/delivery.ts";
import { type ReplayOptions, runReplay } from "../../../src/cli/replay/replay.ts";
import { eventLine, FakeClock, json, type TestIo, temporaryFile, testIo } from "../helpers.ts";
import { applied, startStub, unavailable } from "./stub.ts";

const lines = (count: number) => Array.from({ length: count }, (_, i) => eventLine(i));

async function replay(url: string, content: string, io: TestIo = testIo(), options: Partial<ReplayOptions> = {}) {
  const files = [await temporaryFile(content)];
  return runReplay({ files, url, speed: null, unordered: false, ...options }, io);
}

test("503 is tried again with the same bytes, not before Retry-After, and ids made here are kept", async () => {
  const stub = await startStub((received) => {
    if (received.number <= 2) unavailable(received, { "retry-after": "3" });
    else applied(received);
  });
  const io = testIo();
  const summary = await replay(stub.url, '{"type":"a"}\n{"type":"b"}', io);
  expect(stub.requests).toHaveLength(3);
  expect(stub.requests[0]?.[0]).toMatch(/^\{"type":"a","id":"[0-9A-Z]{26}"\}$/);
  expect(stub.requests[1]).toEqual(stub.requests[0]);
  expect(stub.requests[2]).toEqual(stub.requests[0]);
  expect(io.clock.sleeps).toHaveLength(2);
  expect(Math.min(...io.clock.sleeps)).toBeGreaterThanOrEqual(3_000);
  expect(summary).toMatchObject({ lines: 2, sent: 2, applied: 2, retries: 2 });
  expect(io.written.err).toContain("answered 503 (Redis does not answer just now); trying again");
});

test("429 with a date is waited for", async () => {
  const clock = new FakeClock();
  const date = new Date(clock.now() + 42_000).toUTCString();
  const stub = await startStub((received) => {
    if (received.number === 1) unavailable(received, { "retry-after": date }, 429);
    else applied(received);
  });
  await replay(stub.url, eventLine(1), testIo({ clock }));
  expect(clock.sleeps[0]).toBeGreaterThanOrEqual(42_000);
  expect(clock.sleeps[0]).toBeLessThan(42_200);
});

test("order and ids survive lost connections, late answers and half answers", async () => {
  const stub = await startStub((received) => {
    if (received.number === 1) received.response.destroy();
    else if (received.number === 3) {
      // The answer breaks off in the middle.
      received.response.writeHead(200, { "content-length": "500" }).write('{"accepted":');
      received.response.destroy();
    } else if (received.number !== 5) applied(received); // the fifth is never answered
  });
  const summary = await replay(stub.url, lines(2_500).join("\n"), testIo(), { requestTimeoutMs: 100 });
  expect(stub.requests.map((request) => request[0])).toEqual(
    [0, 0, 1_000, 1_000, 2_000, 2_000].map((n) => eventLine(n)),
  );
  expect([1, 3, 5].flatMap((i) => stub.requests[i])).toEqual(lines(2_500));
  expect(summary).toMatchObject({ lines: 2_500, sent: 2_500, applied: 2_500, retries: 3 });
});

test("what is too large is sent in halves, in order; a single line that is too large is rejected", async () => {
  const stub = await startStub((received) => {
    const tooLarge = received.lines.length > 2 || received.lines.includes(eventLine(4));
    if (tooLarge) json(received.response, 413, { code: "too_large", detail: "the request is too large" });
    else applied(received);
  });
  const summary = await replay(stub.url, lines(7).join("\n"));
  expect(stub.requests.map(({ length }) => length)).toEqual([7, 4, 2, 2, 3, 2, 1, 1, 1]);
  expect(summary).toMatchObject({ lines: 7, sent: 7, accepted: 6, rejected: 1, retries: 0 });
  expect(summary.rejections).toEqual([{ line: 5, code: "too_large", detail: "the request is too large" }]);
});

test("202 means queued: accepted, and pending", async () => {
  const rejected = [{ index: 1, code: "invalid_type", detail: "type: must be a string" }];
  const stub = await startStub(({ response }) => json(response, 202, { accepted: 2, rejected }));
  const summary = await replay(stub.url, lines(3).join("\n"));
  expect(summary).toMatchObject({ sent: 3, accepted: 2, applied: 0, pending: 2, rejected: 1 });
  expect(summary.rejections).toEqual([{ line: 2, code: "invalid_type", detail: "type: must be a string" }]);
});

test("rejections name the line as an editor counts it, and the rest goes on", async () => {
  const bad = (index: number) => ({ index, code: "invalid_event", detail: `no ${index}` });
  const stub = await startStub((received) => {
    const { lines: got, response, number } = received;
    if (number === 1) json(response, 400, { code: "invalid_events", detail: "…", rejected: got.map((_, i) => bad(i)) });
    else json(response, 200, { accepted: 2, applied: 1, duplicates: 1, late: 0, dead: 0, rejected: [bad(1)] });
  });
  const blank = ["", "  \r", "nonsense"];
  const content = [...Array.from({ length: 1_000 }, () => "[1]"), ...blank, eventLine(1), eventLine(2)].join("\n");
  const summary = await replay(stub.url, content);
  expect(summary).toMatchObject({ lines: 1_003, sent: 1_003, accepted: 2, applied: 1, duplicates: 1, rejected: 1_001 });
  expect(summary.rejections).toHaveLength(20);
  expect(summary.rejections[19]).toEqual({ line: 20, code: "invalid_event", detail: "no 19" });
  expect(stub.requests[1]).toEqual(["nonsense", eventLine(1), eventLine(2)]);
});

test("a rejection in a later batch and file is mapped to its own line, with the file where there are several", async () => {
  const stub = await startStub(({ lines: got, response }) => {
    const index = got.indexOf("?");
    const rejected = index < 0 ? [] : [{ index, id: "x", code: "invalid_event", detail: "not valid JSON" }];
    json(response, 200, {
      accepted: got.length - rejected.length,
      applied: 0,
      duplicates: 0,
      late: 0,
      dead: 0,
      rejected,
    });
  });
  const files = [await temporaryFile(`${lines(1_200).join("\n")}\n`), await temporaryFile("\n\n?\n", "second")];
  const summary = await runReplay({ files, url: stub.url, speed: null, unordered: false }, testIo());
  expect(summary.rejections).toEqual([{ file: files[1], line: 3, code: "invalid_event", detail: "not valid JSON" }]);
});

test.each([401, 403, 404, 500, 502, 301])(
  "%i ends the run with its reason, and the summary is printed",
  async (status) => {
    const stub = await startStub(({ response }) => json(response, status, { code: "x", detail: "because" }));
    const io = testIo();
    await expect(replay(stub.url, lines(3_000).join("\n"), io)).rejects.toThrow(
      `${stub.url}/v1/events answered ${status} (because)`,
    );
    expect(stub.requests).toHaveLength(1);
    expect(JSON.parse(io.written.out)).toMatchObject({ sent: 0, accepted: 0, retries: 0 });
  },
);

test("a server that is not Tallymark is recognised", async () => {
  const stub = await startStub(({ response }) => void response.writeHead(200).end("<html>welcome"));
  await expect(replay(stub.url, eventLine(1))).rejects.toThrow("answered 200, which is no answer of Tallymark");
});

test("another 4xx without a list rejects the batch and goes on", async () => {
  const stub = await startStub(({ response }) => json(response, 400, { code: "bad_request", detail: "why" }));
  const summary = await replay(stub.url, lines(2).join("\n"));
  expect(summary).toMatchObject({ sent: 2, accepted: 0, rejected: 2 });
  expect(summary.rejections[1]).toEqual({ line: 2, code: "bad_request", detail: "why" });
});

test.each([false, true])("ten minutes without success are the end (unordered: %s)", async (unordered) => {
  const stub = await startStub((received) => unavailable(received));
  const io = testIo();
  const started = io.clock.now();
  await expect(replay(stub.url, lines(3_000).join("\n"), io, { unordered })).rejects.toThrow(
    /^gave up after 10 minutes without success: http.* answered 503/,
  );
  expect(io.clock.now() - started).toBeGreaterThanOrEqual(PATIENCE_MS);
  expect(Math.max(...io.clock.sleeps)).toBeLessThanOrEqual(10_000);
  expect(JSON.parse(io.written.out)).toMatchObject({ sent: 0, accepted: 0 });
});

test("a success in between makes the patience start anew", async () => {
  const clock = new FakeClock();
  const stub = await startStub((received) => {
    clock.time += 4 * 60_000;
    if (received.number % 2 === 1) unavailable(received);
    else applied(received);
  });
  const summary = await replay(stub.url, lines(4_000).join("\n"), testIo({ clock }));
  expect(summary).toMatchObject({ applied: 4_000, retries: stub.requests.length / 2 });
  expect(summary.retries).toBeGreaterThanOrEqual(4);
});

test("an unreachable service is told of at once and waited for", async () => {
  const io = testIo();
  await expect(replay("http://127.0.0.1:9", eventLine(1), io)).rejects.toThrow("cannot be reached");
  expect(io.written.err.split("\n")[0]).toMatch(/cannot be reached \(.+\); trying again for up to 10 minutes\.$/);
});

test("an interrupt ends the trying", async () => {
  const controller = new AbortController();
  const stub = await startStub((received) => {
    if (received.number === 2) controller.abort();
    unavailable(received);
  });
  const summary = await replay(stub.url, lines(3).join("\n"), testIo({ signal: controller.signal }));
  expect(summary).toMatchObject({ lines: 3, sent: 0, retries: 1 });
});

test("files that cannot be read are named before anything is sent", async () => {
  const stub = await startStub();
  const good = await temporaryFile(eventLine(1));
  const run = (file: string) =>
    runReplay({ files: [good, file], url: stub.url, speed: null, unordered: false }, testIo());
  await expect(run("/nowhere/x.ndjson")).rejects.toThrow("/nowhere/x.ndjson: there is no such file");
  await expect(run("/")).rejects.toThrow("/: is a directory, not a file of events");
  expect(stub.requests).toEqual([]);
});

test.each([
  ["ends too early", (gzip: Buffer) => gzip.subarray(0, gzip.length - 20)],
  ["is damaged", (gzip: Buffer) => gzip.fill(0xff, 20, 60)],
])("gzip data that %s is told of", async (what, damage) => {
  const stub = await startStub();
  const io = testIo();
  const file = await temporaryFile(damage(gzipSync(lines(1_000).join("\n"))));
  const run = runReplay({ files: [file], url: stub.url, speed: null, unordered: false }, io);
  await expect(run).rejects.toThrow(`${file}: the gzip data ${what}`);
  expect(io.written.out.trimEnd().split("\n")).toHaveLength(1);
});

test("an address that is none is named", async () => {
  await expect(replay("localhost:8080", eventLine(1))).rejects.toThrow(
    '--url: "localhost:8080" is not an http or https address',
  );
});
