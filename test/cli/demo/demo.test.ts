import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { SHOP_COUNTERS, shopSlot } from "../../../src/cli/demo/shop.ts";
import { call } from "../../support/app.ts";
import { readMetric } from "../../support/metrics.ts";

const MAIN = fileURLToPath(new URL("../../../dist/main.js", import.meta.url));
const SEED = 11;

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-demo-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
  return directory;
}

/** The demo as a newcomer starts it. */
async function startDemo(dataDir: string) {
  const args = [MAIN, "demo", "--seed", String(SEED), "--backfill", "2m"];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TALLYMARK_PORT: "0", TALLYMARK_DATA_DIR: dataDir };
  const child = spawn(process.execPath, args, { env, cwd: dataDir, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const output = { text: "", err: "" };
  child.stderr.on("data", (chunk) => {
    output.err += chunk;
  });
  const closed = once(child, "close").then(() => child.exitCode);
  const says = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const found = pattern.exec(output.text);
      if (found) return found[1] ?? found[0];
      if (child.exitCode !== null) throw new Error(`the demo ended: ${output.text}${output.err}`);
      await Promise.race([once(child.stdout, "data"), closed]);
    }
  };
  child.stdout.on("data", (chunk) => {
    output.text += chunk;
  });
  const stop = () => {
    child.kill("SIGINT");
    return closed;
  };
  return { output, says, stop };
}

/** What the counters must show of some seconds, told by the generator alone. */
function expected(from: number, to: number) {
  const totals = { views: 0, sales: 0, amount: 0, all: 0 };
  for (let slot = from / 1_000; slot < to / 1_000; slot++) {
    for (const { type, time, data } of shopSlot(SEED, slot).events) {
      if (Number(time) < slot * 1_000) continue;
      totals.all++;
      if (type === "page.view") totals.views++;
      if (type !== "purchase") continue;
      totals.sales++;
      totals.amount += Math.round((data?.amount as number) * 100);
    }
  }
  return { ...totals, amount: totals.amount / 100 };
}

test("the demo shows a past, then moves, counts nothing twice, and ends cleanly", async () => {
  const dataDir = await temporaryDirectory();
  const demo = await startDemo(dataDir);
  const url = await demo.says(/^Tallymark is ready at (\S+)$/m);
  await demo.says(/events of the past are in; from now on it is live/);
  const value = async (counter: string, query = "last=1h") =>
    (await call(url, "GET", `/v1/counters/${counter}/value?${query}`)).body;

  const liveFrom = Date.now();
  // What is in is counted within moments.
  for (const { name } of SHOP_COUNTERS) await expect.poll(async () => (await value(name)).count).toBeGreaterThan(0);
  // Whole buckets that lie behind the watermark and a moment more: all of their events and copies are in.
  const passes = (time: number) =>
    expect
      .poll(async () => Date.parse((await value("views")).watermark), { timeout: 40_000, interval: 200 })
      .toBeGreaterThan(time + 3_000);
  const end = Math.ceil(liveFrom / 10_000) * 10_000 + 10_000;
  await passes(end);
  const from = end - 60_000;
  const want = expected(from, end);
  const span = `from=${from}&to=${end}`;
  expect((await value("views", span)).count).toBe(want.views);
  expect(await value("sales", span)).toMatchObject({ count: want.sales, sum: want.amount });
  expect((await value("visitors", span)).count).toBe(want.all);
  const { body: series } = await call(url, "GET", `/v1/counters/views/series?window=10s&${span}`);
  expect(Math.min(...series.buckets.map(({ count }: { count: number }) => count))).toBeGreaterThan(0);
  expect(await readMetric(url, 'tallymark_events_total{outcome="duplicates"}')).toBeGreaterThan(50);
  const { body: late } = await call(url, "GET", "/v1/late?counter=views");
  expect(late.late.length).toBeGreaterThan(0);

  expect(await demo.stop()).toBe(0);
  expect(demo.output.text).toMatch(/\d+ events were sent, \d+ of them copies\.\n$/);
  expect(demo.output.err).not.toContain("events dropped");

  // Another start goes on where this one ended, and sends the seconds before it again.
  const again = await startDemo(dataDir);
  const secondUrl = await again.says(/^Tallymark is ready at (\S+)$/m);
  await again.says(/events of the past are in/);
  const duplicates = () => readMetric(secondUrl, 'tallymark_events_total{outcome="duplicates"}');
  await expect.poll(duplicates).toBeGreaterThan(1_000);
  const { body } = await call(secondUrl, "GET", `/v1/counters/views/value?${span}`);
  expect(body.count).toBe(want.views);
  expect(await again.stop()).toBe(0);
}, 180_000);

test("a fault in the configuration is named, as by serve", async () => {
  const directory = await temporaryDirectory();
  const env = { PATH: process.env.PATH, TALLYMARK_PORT: "many" };
  const child = spawn(process.execPath, [MAIN, "demo"], { env, cwd: directory, stdio: ["ignore", "ignore", "pipe"] });
  let err = "";
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  await once(child, "close");
  expect(child.exitCode).toBe(78);
  expect(err).toContain("TALLYMARK_PORT: must be a whole number");
});
