import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Rate, runTail } from "../../../src/cli/live/tail.ts";
import { cutTo, keyText } from "../../../src/cli/live/text.ts";
import { runTop, type TopOptions } from "../../../src/cli/live/top.ts";
import { CommandFailure, systemClock } from "../../../src/cli/replay/io.ts";
import { Told } from "../../client/helpers.ts";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { TcpProxy } from "../../support/proxy.ts";
import { testIo } from "../helpers.ts";

let app: TestApp;
let proxy: TcpProxy;

beforeAll(async () => {
  app = await startTestApp([
    { name: "sales", event: "sale", by: ["subject"], sum: "data.amount", unique: "data.buyer", windows: ["10s", "1m"] },
    { name: "views", event: "view", by: ["subject"], windows: ["1m"] },
  ]);
  proxy = await TcpProxy.start({ host: "127.0.0.1", port: Number(new URL(app.url).port) });
});

afterAll(async () => {
  await proxy.stop();
  await app.stop();
});

/** A terminal or a pipe, and the person who ends it. */
function terminal(isTTY: boolean, size = {}) {
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const out = new Told<string>();
  const stdout = { isTTY, ...size, write: out.tell };
  const io = { ...testIo({ signal: stop.signal, stdout }), clock: systemClock };
  return { io, out, stop };
}

const send = (...events: object[]) => app.call("POST", "/v1/events?wait=applied", events);
const sale = (subject: string, amount: number, buyer = "b") => ({ type: "sale", subject, data: { amount, buyer } });
const top = (options: Partial<TopOptions>): TopOptions => {
  return { counter: "sales", last: "1h", limit: 20, by: "count", url: app.url, ...options };
};

test("top, piped: a line for each key of every update, until it is interrupted", async () => {
  await send(sale("/a", 1.25), sale("/b", 10), sale("/a", 1));
  const { io, out, stop } = terminal(false);
  const running = runTop(top({}), io);
  const block = await out.until((text) => text.includes("/b"));
  expect(block.split("\n").map((line) => line.split("\t").slice(1))).toEqual([
    ["1", "2", "2.25", "/a"],
    ["2", "1", "10", "/b"],
    [],
  ]);
  expect(Date.parse(block.split("\t")[0] ?? "")).toBeGreaterThan(Date.now() - 60_000);
  await send(sale("/b", 1), sale("/b", 1));
  await out.until((text) => /\t1\t3\t12\t\/b\n/.test(text));
  stop.abort();
  await running;
  const bySum = terminal(false);
  void runTop(top({ by: "sum", limit: 1 }), bySum.io);
  expect(await bySum.out.until(() => true)).toMatch(/^\S+\t1\t3\t12\t\/b\n$/);
});

test("top, on a terminal: drawn in place, with what moved, cut to its size", async () => {
  const view = (subject: string, times: number) => Array.from({ length: times }, () => ({ type: "view", subject }));
  await send(...view("/one", 2), ...view("/two", 1), ...view(`/${"long".repeat(30)}\u001b[31m`, 1));
  const { io, out, stop } = terminal(true, { columns: 40, rows: 4 });
  const running = runTop(top({ counter: "views" }), io);
  expect(await out.until(() => true)).toBe("views, last 1h, by count · connecting\n");
  const first = await out.until((text) => text.includes("/long"));
  // Four rows hold three lines and the cursor's; the fourth line is left out.
  expect(first.startsWith("\u001b[1F\u001b[Jviews, last 1h, by count · to 2")).toBe(true);
  expect(first.split("\n")).toHaveLength(4);
  expect(first).toContain("\n  1  2  /one\n");
  const widths = first
    .slice("\u001b[1F\u001b[J".length)
    .split("\n")
    .map(({ length }) => length);
  expect(Math.max(...widths)).toBe(40);
  await send(...view("/two", 5));
  const second = await out.until((text) => /\n↑ 1 {2}6 {2}\/two\n↓ 2/.test(text));
  expect(second.startsWith("\u001b[3F\u001b[J")).toBe(true);
  stop.abort();
  await running;
});

test("a connection that breaks is shown, and is made again", async () => {
  const url = `http://127.0.0.1:${proxy.port}`;
  const screen = terminal(true, { columns: 120 });
  const running = runTop(top({ url }), screen.io);
  await screen.out.until((text) => text.includes("/a"));
  proxy.cut();
  const broken = await screen.out.until((text) => text.includes("trying again"));
  // What was known stays on the screen.
  expect(broken).toContain("/a");
  await screen.out.until((text) => text.includes("· to 2"), screen.out.values.indexOf(broken));
  screen.stop.abort();
  await running;

  const pipe = terminal(false);
  const tailing = runTail({ counter: "sales", last: "1h", url }, pipe.io);
  await pipe.out.until(() => true);
  proxy.cut();
  await pipe.out.until(() => true, 1);
  expect(pipe.io.written.err).toMatch(/^tallymark: http:\/\/127\.0\.0\.1:\d+ closed with code 1006; trying again\n$/);
  pipe.stop.abort();
  await tailing;
});

test("tail: a line for every update, of a key or in total", async () => {
  const { io, out, stop } = terminal(false);
  const running = runTail({ counter: "sales", key: ["/tail"], window: "10s", last: "1h", url: app.url }, io);
  expect(await out.until(() => true)).toMatch(/ {2}count=0 {2}delta\/s=- {2}sum=0 {2}unique=0\n$/);
  await send(sale("/tail", 2.5, "x"), sale("/tail", 1, "y"), sale("/tail", 1, "x"));
  const line = await out.until((text) => text.includes("count=3"));
  expect(line).toMatch(/^20\d\d-\S+Z {2}count=3 {2}delta\/s=\d+\.\d {2}sum=4.5 {2}unique=2\n$/);
  expect(Number(/delta\/s=(\S+)/.exec(line)?.[1])).toBeGreaterThan(0);
  stop.abort();
  await running;
});

test("a rate is told from the buckets, also when the span moves on", () => {
  const rate = new Rate();
  const buckets = (...counts: [string, number | string][]) => {
    return { buckets: counts.map(([start, count]) => ({ start, count, final: false })) };
  };
  expect(rate.update(buckets(["a", 100], ["b", 10]), 0)).toBeNull();
  expect(rate.update(buckets(["a", 100], ["b", 30]), 2_000)).toBe(10);
  // The bucket with the hundred has left the span, and an empty one has joined it.
  expect(rate.update(buckets(["b", 31], ["c", 0]), 3_000)).toBe(1);
  expect(rate.update(buckets(["c", "6"], ["d", 4]), 4_000)).toBe(10);
});

test("what cannot be followed is said in a sentence", async () => {
  const { io } = terminal(false);
  await expect(runTop(top({ counter: "nobody" }), io)).rejects.toThrow(
    new CommandFailure('there is no counter "nobody"'),
  );
  await expect(runTail({ counter: "sales", window: "7s", last: "5m", url: app.url }, io)).rejects.toThrow(
    "window: must be one of 10s, 1m",
  );
  await expect(runTail({ counter: "sales", last: "5m", url: "nowhere" }, io)).rejects.toThrow("--url");
});

test("a key cannot steer the terminal", () => {
  expect(keyText(["a\u001b[2Jb", "", "c\u202e"])).toBe('a\\u001b[2Jb "" c\\u202e');
  expect(keyText(null)).toBe("(total)");
  expect([cutTo("abcd", 4), cutTo("abcde", 4)]).toEqual(["abcd", "abc…"]);
});
