import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CounterDefinition, CounterInput } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import type { Event } from "../../src/core/event.ts";
import { Archivers } from "../../src/lake/archivers.ts";
import { FolderStore } from "../../src/lake/folder.ts";
import { Rebuilder } from "../../src/lake/rebuild.ts";
import type { LakeStore } from "../../src/lake/store.ts";
import { createLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { FIXED_KEYS } from "../../src/redis/commands/apply.ts";
import { readDeleted } from "../../src/redis/commands/definitions.ts";
import { beginSeam } from "../../src/redis/commands/stage.ts";
import type { ScriptName } from "../../src/redis/scripts.ts";
import { readNew } from "../../src/stream/entries.ts";
import { type RunningWorkers, startWorkers } from "../hazards/support.ts";
import { changing, Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** A counter that did not exist when events came, counted from the lake while more come, is what it would have been. */

const DEFINITION: Omit<CounterInput, "name"> = {
  event: "*",
  by: ["subject"],
  sum: "data.value",
  unique: "data.user",
  windows: ["1m", "1h"],
  lateness: "4000d",
  keysMax: 50,
};
const T = Date.parse("2015-09-12T10:00:00Z");
const SPAN = { from: T - 86_400_000, to: T + 86_400_000 };

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

let folder: string;
let harness: Harness;
let workers: RunningWorkers;
let archivers: Archivers;
let sent: number;

async function open(mutation?: readonly [script: ScriptName, from: string, to: string]): Promise<void> {
  harness = await Harness.create(redis, {
    partitions: 2,
    counters: [{ name: "model", ...DEFINITION } as CounterInput],
    mutate: changing(mutation && { script: mutation[0], from: mutation[1], to: mutation[2] }),
  });
  workers = await startWorkers(redis, harness);
  const { client, scripts, partitions } = harness;
  const [metrics, log] = [new Metrics(), createLogger("silent")];
  archivers = new Archivers({ client, scripts, partitions, store: store(), metrics, log, waitMs: 300 });
  await archivers.start();
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
  sent = 0;
});
afterEach(async () => {
  await workers.stop();
  await archivers.stop();
  harness.close();
  await rm(folder, { recursive: true, force: true });
});

const store = () => new FolderStore(folder);

function eventAt(n: number): Event {
  const [subject, user] = [`/${(n * n) % 61}`, `u${n % 23}`];
  return makeEvent({ id: `e${n}`, subject, time: T + (n % 300) * 20_000, data: { value: (n % 9) / 8 - 0.25, user } });
}

/** New events, and every fifth of them a second time with another value, as a retry that went wrong. */
async function send(events: number): Promise<void> {
  const made = Array.from({ length: events }, () => eventAt(sent++));
  await harness.send(made);
  const again = made.filter((_, i) => i % 5 === 0);
  await harness.send(again.map((event) => ({ ...event, data: { value: 1_000, user: "nobody" } })));
}

async function drained(): Promise<void> {
  const waiting = async () => {
    const { client, partitions } = harness;
    const counts = await Promise.all(partitions.map(({ stream }) => client.xlen(stream)));
    return counts.reduce((a, b) => a + b);
  };
  await expect.poll(waiting, { timeout: 30_000, interval: 50 }).toBe(0);
}

async function put(name: string): Promise<void> {
  await harness.registry.put(parseCounter({ name, ...DEFINITION } as CounterInput) as CounterDefinition);
}

function rebuild(counter: string, on: LakeStore = store(), onProgress = () => {}): Promise<number> {
  const { scripts, registry, partitions } = harness;
  const client = losingReplies(harness.client);
  return new Rebuilder({ client, scripts, registry, partitions, store: on }).run({ counter }, onProgress);
}

/** The reply to every third batch is lost, and the batch is sent again. */
function losingReplies(real: RedisClient): RedisClient {
  let batches = 0;
  return new Proxy(real, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        const reply = await value.apply(target, args);
        const isBatch = name === "evalsha" && Number(args[1]) > FIXED_KEYS;
        if (isBatch && ++batches % 3 === 0) throw new Error("Connection is closed.");
        return reply;
      };
    },
  });
}

/** Everything that lookups say of a counter. */
async function answers(name: string): Promise<unknown> {
  await harness.registry.refresh();
  const counter = harness.counter(name);
  const { lookups } = harness;
  const total = { owner: "total", shown: { key: null } } as const;
  const [value, top, ...series] = await Promise.all([
    lookups.value({ counter, subject: total, span: SPAN }),
    lookups.top({ counter, span: SPAN, limit: 100, by: "count" }),
    ...counter.windows.map((window) => lookups.series({ counter, subject: total, span: SPAN, window })),
  ]);
  return JSON.parse(JSON.stringify([value, top, ...series]), (key, held) => (key === "counter" ? undefined : held));
}

/** Sends all the while, until told to stop. */
function keepSending(): () => Promise<void> {
  let stopped = false;
  const sending = (async () => {
    while (!stopped) await send(20);
  })();
  return async () => {
    stopped = true;
    await sending;
  };
}

async function rebuildUnderLoad(): Promise<number> {
  for (let i = 0; i < 20; i++) await send(100);
  // What is not applied when the seam is made counts live, and not from the lake.
  await drained();
  await put("late");
  const stopSending = keepSending();
  let events: number;
  try {
    events = await rebuild("late");
  } finally {
    await stopSending();
  }
  await send(50);
  await drained();
  return events;
}

test("rebuilt while events keep flowing, it equals one that was there from the beginning", async () => {
  await open();
  const events = await rebuildUnderLoad();
  expect(events).toBeGreaterThanOrEqual(2_000);
  expect(sent).toBeGreaterThan(events);
  expect(await answers("late")).toEqual(await answers("model"));
  // What it was before is to be swept, and nothing tells of the seam any more.
  expect((await readDeleted(harness.client)).map(({ definition }) => definition.name)).toEqual(["late"]);
  expect(harness.registry.current.staged).toEqual([]);
  for (const { state } of harness.partitions) {
    expect(Object.keys(await harness.client.hgetall(state)).filter((field) => field.includes(":"))).toEqual([]);
  }
});

test("without the number of a batch, one counts twice whose reply was lost (the mutant)", async () => {
  await open(["apply", ">= rebuild.number then", ">= rebuild.number + 1 then"]);
  await rebuildUnderLoad();
  expect(await answers("late")).not.toEqual(await answers("model"));
});

describe("a seam lies between what is applied and what is not", () => {
  /** Of 20 entries the first, second and fifth are applied. What is before the seam, and what the new generation counted. */
  const stands = async (mutation?: Parameters<typeof open>[0]) => {
    await open(mutation);
    await workers.stop();
    const { client, scripts, registry, lookups, partitions } = harness;
    const keys = partitions[0]!;
    const staged = await registry.stage(harness.counter("model"));
    const owner = await harness.own(keys);
    for (let n = 0; n < 20; n++) await harness.send([eventAt(n)]);
    const ids = (await client.xrange(keys.stream, "-", "+")).map(([id]) => id);
    const read = await readNew(client, keys, 5, 1);
    await owner.apply([...read.slice(0, 2), ...read.slice(4)]);
    const seam = await beginSeam(client, scripts, keys, staged.generation);
    await owner.apply(read.slice(2, 4));
    const subject = { owner: "total", shown: { key: null } } as const;
    const { count } = await lookups.value({ counter: staged, subject, span: SPAN });
    return { before: ids.map((id) => seam!.isBefore(id)).slice(0, 7), count };
  };

  const RIGHT = { before: [true, true, false, false, true, false, false], count: 2 };

  test("whatever is pending", async () => {
    expect(await stands()).toEqual(RIGHT);
  });

  test.each([
    ["asking what is pending", "seam", "do ids[#ids + 1] = entry[1] end", "do end"],
    ["waiting for the seam", "apply", "if counter.staged then counter.idle =", "if false then counter.idle ="],
  ] as const)("without %s it does not (the mutant)", async (_, script, from, to) => {
    expect(await stands([script, from, to])).not.toEqual(RIGHT);
  });
});

test("a rebuild that fails half-way changes nothing, and the next one succeeds", async () => {
  await open();
  for (let i = 0; i < 10; i++) await send(100);
  await drained();
  await put("late");
  await send(10);
  await drained();
  const before = await answers("late");
  const { generation } = harness.counter("late");
  let reads = 0;
  const failing = new Proxy(store(), {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "get" && ++reads > 8) throw new Error("the disk is gone");
        return value.apply(target, args);
      };
    },
  });
  await expect(rebuild("late", failing)).rejects.toThrow("the disk is gone");
  expect(await answers("late")).toEqual(before);
  expect(harness.counter("late").generation).toBe(generation);
  expect(harness.registry.current.staged).toEqual([]);
  await rebuild("late");
  expect(await answers("late")).toEqual(await answers("model"));
});

test("one that was killed is given up by the next, and by deleting the counter", async () => {
  await open();
  await send(100);
  await drained();
  await put("late");
  await harness.registry.stage(harness.counter("late"));
  await send(10);
  await drained();
  await rebuild("late");
  expect(await answers("late")).toEqual(await answers("model"));
  await harness.registry.stage(harness.counter("late"));
  await harness.registry.remove("late");
  expect(harness.registry.current.staged).toEqual([]);
  expect(harness.registry.current.find("late")).toBe(undefined);
});

test("a counter that is deleted meanwhile stays deleted", async () => {
  await open();
  await send(200);
  await drained();
  await put("late");
  let removed: Promise<void> | null = null;
  const onProgress = () => {
    removed ??= harness.registry.remove("late");
  };
  await expect(rebuild("late", store(), onProgress)).rejects.toThrow(/changed or deleted/);
  await removed;
  expect((await harness.registry.refresh()).find("late")).toBe(undefined);
  expect(harness.registry.current.staged).toEqual([]);
});
