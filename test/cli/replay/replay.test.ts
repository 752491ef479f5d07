import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { runReplay } from "../../../src/cli/replay/replay.ts";
import { eventLine, FakeClock, temporaryFile, testIo } from "../helpers.ts";
import { applied, startStub } from "./stub.ts";

const OPTIONS = { speed: null, unordered: false };
const lines = (count: number, first = 1) => Array.from({ length: count }, (_, i) => eventLine(first + i));

test("every line is sent once, in order, in batches of a thousand, one request at a time", async () => {
  const stub = await startStub();
  const io = testIo();
  const all = lines(2_500);
  const summary = await runReplay({ ...OPTIONS, files: [await temporaryFile(all.join("\n"))], url: stub.url }, io);
  expect(stub.requests.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  expect(stub.requests.flat()).toEqual(all);
  expect(stub.mostInFlight).toBe(1);
  expect([...stub.paths]).toEqual(["POST /v1/events?wait=applied application/x-ndjson"]);
  expect(summary).toMatchObject({
    lines: 2_500,
    sent: 2_500,
    accepted: 2_500,
    applied: 2_500,
    rejected: 0,
    retries: 0,
  });
  expect(io.written.out).toBe(`${JSON.stringify(summary)}\n`);
  expect(io.written.err).toBe("");
});

test("a batch stays below four mebibytes", async () => {
  const stub = await startStub();
  const all = Array.from({ length: 150 }, (_, i) => eventLine(i, { data: { text: "x".repeat(60_000) } }));
  await runReplay({ ...OPTIONS, files: [await temporaryFile(all.join("\n"))], url: stub.url }, testIo());
  expect(stub.requests.flat()).toEqual(all);
  expect(stub.requests.length).toBe(3);
});

test("several files are sent one after the other, compressed or not, and standard input too", async () => {
  const stub = await startStub();
  const files = [
    await temporaryFile(gzipSync(lines(3).join("\n")), "not-named-gz.ndjson"),
    "-",
    await temporaryFile(lines(2, 6).join("\n"), "plain.gz"),
  ];
  const io = testIo({ stdinBytes: gzipSync(`${lines(2, 4).join("\n")}\n`) });
  const summary = await runReplay({ ...OPTIONS, files, url: `${stub.url}/` }, io);
  expect(stub.requests.flat()).toEqual(lines(7));
  expect(summary).toMatchObject({ lines: 7, sent: 7 });
});

test("gzip of several members is read to its end, and plain standard input as well", async () => {
  const stub = await startStub();
  const twice = Buffer.concat([gzipSync(`${lines(2).join("\n")}\n`), gzipSync(lines(2, 3).join("\n"))]);
  await runReplay({ ...OPTIONS, files: [await temporaryFile(twice)], url: stub.url }, testIo());
  await runReplay({ ...OPTIONS, files: ["-"], url: stub.url }, testIo({ stdinBytes: Buffer.from(eventLine(5)) }));
  expect(stub.requests.flat()).toEqual(lines(5));
});

test("an empty file is replayed too", async () => {
  const stub = await startStub();
  const summary = await runReplay({ ...OPTIONS, files: [await temporaryFile("")], url: stub.url }, testIo());
  expect(stub.requests).toEqual([]);
  expect(summary).toMatchObject({ lines: 0, sent: 0, accepted: 0 });
});

test("unordered, up to eight requests are in flight", async () => {
  const waiting: (() => void)[] = [];
  const stub = await startStub((received) => {
    waiting.push(() => applied(received));
    // The first eight are held until all of them are there; a ninth would have come by then.
    if (waiting.length >= 8 || received.number > 8) for (const answer of waiting.splice(0)) answer();
  });
  const all = lines(10_000);
  const file = await temporaryFile(all.join("\n"));
  const summary = await runReplay({ ...OPTIONS, unordered: true, files: [file], url: stub.url }, testIo());
  expect(stub.mostInFlight).toBe(8);
  expect(stub.requests.flat().sort()).toEqual([...all].sort());
  expect(summary).toMatchObject({ sent: 10_000, applied: 10_000 });
});

test("where nobody looks there is no progress bar, on a terminal there is", async () => {
  const stub = await startStub();
  const io = testIo({ isTTY: true });
  await runReplay({ ...OPTIONS, files: [await temporaryFile(lines(3).join("\n"))], url: stub.url }, io);
  expect(io.written.err).toContain("events.ndjson [");
  expect(io.written.out.trimEnd().split("\n")).toHaveLength(1);
});

test("an interrupt lets the request in flight finish, and the summary tells of it", async () => {
  const controller = new AbortController();
  const stub = await startStub((received) => {
    controller.abort();
    setImmediate(() => applied(received));
  });
  const io = testIo({ signal: controller.signal });
  const file = await temporaryFile(lines(5_000).join("\n"));
  const summary = await runReplay({ ...OPTIONS, files: [file], url: stub.url }, io);
  expect(stub.requests).toHaveLength(1);
  expect(summary).toMatchObject({ sent: 1_000, applied: 1_000 });
  expect(JSON.parse(io.written.out)).toEqual(summary);
});

test("an interrupt ends the wait for standard input", async () => {
  const controller = new AbortController();
  const stub = await startStub((received) => {
    applied(received);
    received.response.on("close", () => controller.abort());
  });
  const stdin = new (await import("node:stream")).PassThrough();
  stdin.write(`${eventLine(1)}\n`);
  // Nothing more comes and the stream stays open: the line must go all the same.
  const summary = await runReplay(
    { ...OPTIONS, files: ["-"], url: stub.url },
    testIo({ stdin, signal: controller.signal }),
  );
  expect(summary).toMatchObject({ lines: 1, sent: 1, applied: 1 });
});

test("seconds are those of the clock", async () => {
  const clock = new FakeClock();
  const stub = await startStub((received) => {
    clock.time += 1_234;
    applied(received);
  });
  const file = await temporaryFile(eventLine(1));
  const summary = await runReplay({ ...OPTIONS, files: [file], url: stub.url }, testIo({ clock }));
  expect(summary.seconds).toBe(1.234);
});
