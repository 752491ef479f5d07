import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { call } from "../support/app.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { DATA_DIR, type Dataset, type LogEvent, loadLines } from "../truth/truth.ts";
import { LiveClient, type Received } from "./client.ts";
import { Recount } from "./recount.ts";

const WIKI: Dataset = "wiki-2015-09-12";
const SPEED = 600;
const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const LATENESS = 10 * MINUTE;
const LIMIT = 20;
const QUERIES_AT_ONCE = 500;

type Update = NonNullable<Received["data"]>;

let service: Service;
afterAll(async () => {
  await service?.stop();
  await removeTemporaryDirectories();
});

async function replay(url: string): Promise<void> {
  const file = join(DATA_DIR as string, `${WIKI}.ndjson.gz`);
  const child = spawn(process.execPath, [MAIN, "replay", file, "--speed", String(SPEED), "--url", url], {
    stdio: "ignore",
  });
  expect(await once(child, "exit")).toEqual([0, null]);
}

/** What a reader could have seen: all that was closed as it looked, and nothing that never came. */
function bounds({ from, to, watermark }: Update): { from: number; to: number; closed: number } {
  const closed = watermark === null ? 0 : Math.floor((Date.parse(watermark) - LATENESS) / MINUTE) * MINUTE;
  const [start, end] = [Date.parse(from), Date.parse(to)];
  return { from: start, to: end, closed: Math.min(end, closed) };
}

function checkValue(recount: Recount, update: Update): void {
  const { from, to, closed } = bounds(update);
  expect(update.count).toBeGreaterThanOrEqual(recount.count(from, closed));
  expect(update.count).toBeLessThanOrEqual(recount.count(from, to));
  if (update.final) expect(update.count).toBe(recount.count(from, to));
}

function checkTop(recount: Recount, update: Update): void {
  const { from, to, closed } = bounds(update);
  const top = update.top.map(({ key, count }: { key: [string]; count: number }) => [key[0], count]);
  if (update.final) expect(top).toEqual(recount.top(from, to, LIMIT));
  const [least, most] = [recount.bySubject(from, closed), recount.bySubject(from, to)];
  for (const [subject, count] of top) {
    expect(count).toBeGreaterThanOrEqual(least.get(subject) ?? 0);
    expect(count).toBeLessThanOrEqual(most.get(subject) ?? 0);
  }
  const counts = top.map(([, count]: [string, number]) => count);
  expect(counts).toEqual(counts.toSorted((a: number, b: number) => b - a));
}

/** What was shown of a span while it filled is what it holds in the end, as far as it was there. */
async function checkFinalSpans(url: string, recount: Recount, updates: readonly Update[]): Promise<void> {
  const spans = [...new Map(updates.map(({ from, to }) => [`${from} ${to}`, { from, to }])).values()];
  for (let first = 0; first < spans.length; first += QUERIES_AT_ONCE) {
    const asked = spans.slice(first, first + QUERIES_AT_ONCE);
    const queries = asked.map((span) => ({ ...span, counter: "edits", feed: "value" }));
    const { body } = await call(url, "POST", "/v1/query", { queries });
    const wanted = asked.map(({ from, to }) => ({
      final: true,
      count: recount.count(Date.parse(from), Date.parse(to)),
    }));
    expect(body.results.map(({ final, count }: Update) => ({ final, count }))).toEqual(wanted);
  }
}

describe.skipIf(!DATA_DIR)("a real log, watched while it is replayed (needs TALLYMARK_TEST_DATA)", () => {
  test(`every update at ${SPEED} times its speed agrees with a recount of its own span`, {
    timeout: 400_000,
  }, async () => {
    const log = loadLines(WIKI).map((line) => JSON.parse(line) as LogEvent);
    const last = Math.max(...log.map(({ time }) => Date.parse(time)));
    // An event two days later closes every bucket of the log.
    const closing = { type: "edit", subject: "", time: new Date(last + 48 * HOUR).toISOString() };
    const recount = new Recount([...log, closing]);
    service = await startService({
      config: {
        counters: [{ name: "edits", event: "*", by: ["subject"], windows: ["1m", "1h"], lateness: "10m" }],
      },
    });
    const client = await LiveClient.open(service.url);
    const sliding = { counter: "edits", last: "1h", every: "100ms" };
    client.subscribe("value", { ...sliding, feed: "value" });
    client.subscribe("top", { ...sliding, feed: "top", limit: LIMIT });
    const firstHour = Math.floor(recount.firstAt / HOUR) * HOUR;
    const hours = Math.ceil((last + 1 - firstHour) / HOUR);
    for (let hour = 0; hour < hours; hour++) {
      const span = { counter: "edits", from: firstHour + hour * HOUR, to: firstHour + (hour + 1) * HOUR, every: "1s" };
      client.subscribe(`value ${hour}`, { ...span, feed: "value" });
      client.subscribe(`top ${hour}`, { ...span, feed: "top", limit: LIMIT });
    }
    await replay(service.url);
    await call(service.url, "POST", "/v1/events?wait=applied", closing);
    const isFinal = (id: string) => (frame: Received) => frame.id === id && frame.data?.final === true;
    for (let hour = 0; hour < hours; hour++) {
      await client.until(isFinal(`value ${hour}`));
      await client.until(isFinal(`top ${hour}`));
    }
    await client.close();

    expect(client.received.filter(({ event }) => event === "error")).toEqual([]);
    const updates = (name: string) => client.received.filter(({ id }) => id?.startsWith(name)).map(({ data }) => data);
    for (const update of updates("value")) checkValue(recount, update);
    for (const update of updates("top")) checkTop(recount, update);
    // Ten a second for more than two minutes, on a machine that does other things as well.
    expect(updates("value").length).toBeGreaterThan(300);
    const spans = updates("value").filter(({ to }) => Date.parse(to) <= last + HOUR);
    await checkFinalSpans(service.url, recount, spans);
  });
});
