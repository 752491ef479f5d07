import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../src/log.ts";
import { Connections } from "../../src/redis/client.ts";
import { readNew } from "../../src/stream/entries.ts";
import { StreamMetrics } from "../../src/stream/metrics.ts";
import { Workers } from "../../src/stream/workers.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { COUNTING, TcpProxy } from "../support/proxy.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let harness: Harness;
let sent: number;
const running: { workers: Workers; connections: Connections; proxy: TcpProxy }[] = [];

beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  sent = 0;
  harness = await Harness.create(redis, {
    partitions: 2,
    counters: [{ name: "all", event: "*", by: ["subject"], windows: ["1h"], lateness: "1d" }],
  });
});
afterEach(async () => {
  for (const { workers, connections, proxy } of running.splice(0)) {
    proxy.frozen = false;
    await workers.stop();
    connections.closeAll();
    await proxy.stop();
  }
  harness.close();
});

/** A worker process's worth of workers, whose every connection runs through a proxy of its own. */
async function startWorkers() {
  const proxy = await TcpProxy.start(redis.target.options as { path: string });
  const connections = new Connections({ kind: "single", options: { host: "127.0.0.1", port: proxy.port } }, () => {});
  const { scripts, partitions, registry } = harness;
  const workers = new Workers({
    connections,
    client: await connections.open("prompt"),
    scripts,
    partitions,
    registry,
    dedupeHorizonMs: 3_600_000,
    metrics: new StreamMetrics(),
    log: createLogger("silent"),
  });
  workers.start();
  const one = { workers, connections, proxy };
  running.push(one);
  return one;
}

async function send(n: number): Promise<void> {
  const time = Date.parse("2015-09-12T10:00:00Z");
  await harness.send(Array.from({ length: n }, () => makeEvent({ id: `e${sent++}`, subject: String(sent % 7), time })));
}

async function count(): Promise<number> {
  const counter = harness.counter("all");
  const span = { from: 0, to: Date.parse("2100-01-01T00:00:00Z") };
  const { count: total } = await harness.lookups.value({
    counter,
    subject: { owner: "total", shown: { key: null } },
    span,
  });
  return total as number;
}

async function allApplied(): Promise<void> {
  await expect.poll(count, { timeout: 30_000, interval: 25 }).toBe(sent);
  for (const { stream, state } of harness.partitions) {
    expect(await harness.client.xlen(stream)).toBe(0);
    const info = (await harness.client.xinfo("STREAM", stream)) as (string | number)[];
    expect(await harness.client.hget(state, "applied")).toBe(String(info[info.indexOf("entries-added") + 1]));
  }
}

describe("a worker goes on by itself, and counts each event once, when", () => {
  test.each(["evalsha", COUNTING, "xreadgroup"])("the reply to %s is lost, again and again", async (command) => {
    const { proxy } = await startWorkers();
    for (let i = 0; i < 5; i++) {
      const lost = proxy.loseReplyTo(command);
      await send(20);
      await lost;
    }
    await send(20);
    await allApplied();
  });

  test("all its connections are cut under load", async () => {
    const { proxy } = await startWorkers();
    for (let i = 0; i < 10; i++) {
      await send(50);
      proxy.cut();
      await send(50);
    }
    await allApplied();
  });

  test("entries were delivered and nobody holds them, although the stream never falls idle", async () => {
    const { proxy } = await startWorkers();
    await send(10);
    await allApplied();
    // While the owner's network stands still, its waiting read takes the first entries at most; what comes then is read
    // in its name and given to nobody.
    const thief = await redis.connections.open("prompt");
    proxy.frozen = true;
    const stolen: { stream: string; id: string }[] = [];
    for (let i = 0; i < 2; i++) {
      await send(20);
      for (const keys of harness.partitions) {
        const entries = await readNew(thief, keys, 5, 1);
        stolen.push(...entries.map(({ id }) => ({ stream: keys.stream, id })));
      }
    }
    proxy.frozen = false;
    const areLeft = async () =>
      (await Promise.all(stolen.map(({ stream, id }) => thief.xrange(stream, id, id)))).some(
        (found) => found.length > 0,
      );
    expect(await areLeft()).toBe(true);
    const ended = Date.now() + 20_000;
    const waiting = async () => {
      const lengths = await Promise.all(harness.partitions.map(({ stream }) => thief.xlen(stream)));
      return lengths.reduce((sum, length) => sum + length, 0);
    };
    while ((await areLeft()) && Date.now() < ended) {
      await send(20);
      await expect.poll(waiting).toBeLessThanOrEqual(stolen.length);
    }
    expect(await areLeft()).toBe(false);
    await allApplied();
    redis.connections.close(thief);
  });

  test("the scripts are flushed from the server", async () => {
    await startWorkers();
    for (let i = 0; i < 5; i++) {
      await send(10);
      await harness.client.script("FLUSH");
    }
    await allApplied();
  });

  test("its stream is deleted together with the group", async () => {
    await startWorkers();
    await send(10);
    await allApplied();
    const stream = harness.partitions[0]?.stream as string;
    await harness.client.del(stream);
    // What comes afterwards is counted again; that something was lost is told by the accounts, not hidden.
    sent = 0;
    const before = await count();
    await send(40);
    await expect.poll(count, { timeout: 30_000 }).toBeGreaterThanOrEqual(before);
  });
});

test("a standby takes over within seconds when the owner freezes, and the owner changes nothing when it wakes", async () => {
  const first = await startWorkers();
  await send(100);
  await allApplied();
  const standby = await startWorkers();
  first.proxy.frozen = true;
  const began = Date.now();
  await send(100);
  await allApplied();
  expect(Date.now() - began).toBeLessThan(15_000);
  first.proxy.frozen = false;
  await send(100);
  await allApplied();
  standby.proxy.cut();
  await send(10);
  await allApplied();
});

test("a worker that stops gives its partitions back at once", async () => {
  const first = await startWorkers();
  await send(10);
  await allApplied();
  await startWorkers();
  await first.workers.stop();
  const leases = await Promise.all(harness.partitions.map(({ lease }) => harness.client.get(lease)));
  // The standby looks once a second; until then nobody owns them, which is what giving back means.
  expect(leases.every((lease) => lease === null) || leases.every((lease) => lease !== null)).toBe(true);
  await send(10);
  await allApplied();
});
