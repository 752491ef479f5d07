import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readCounterState } from "../../src/buckets/state.ts";
import type { Event } from "../../src/core/event.ts";
import { TIME_MAX_MS } from "../../src/core/limits.ts";
import type { Window } from "../../src/core/window.ts";
import { readNew } from "../../src/stream/entries.ts";
import { changing, Harness, makeEvent, type ScriptChange } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** Where numbers leave what Lua and Redis can hold or print, and what each guard does, by removing it. */

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

const HOUR = 3_600_000;
const SPAN = { from: 0, to: HOUR };
/** 2^63 − 1: where Redis's integers end. */
const INTEGER_MAX = 9_223_372_036_854_775_807n;

async function create(removed?: ScriptChange): Promise<void> {
  harness = await Harness.create(redis, {
    counters: [
      {
        name: "all",
        event: "*",
        by: ["subject"],
        unique: "data.user",
        sum: "data.n",
        windows: ["1h"],
        lateness: "10000d",
      },
    ],
    mutate: changing(removed),
  });
}

/** Applies events in one call of the script, however many there are. */
async function applyAtOnce(events: readonly Event[]): Promise<void> {
  const partition = harness.partitions[0]!;
  const owner = await harness.own(partition);
  for (let from = 0; from < events.length; from += 1_000) await harness.send(events.slice(from, from + 1_000));
  await owner.apply(await readNew(harness.client, partition, 1_000, 1));
}

const total = (span = SPAN) =>
  harness.lookups.value({
    counter: harness.counter("all"),
    subject: { owner: "total", shown: { key: null } },
    span,
  });

/** The hash and the field of the total in the first hour. */
function totalCell(): [hash: string, field: string] {
  const counter = harness.counter("all");
  const keys = harness.partitions[0]!.window(counter, counter.windows[0] as Window);
  return [keys.cells(keys.chunk(0), "total"), keys.field(0)];
}

describe("a batch with more values than one call of unpack() bears", () => {
  const crowd = () =>
    Array.from({ length: 10_000 }, (_, i) =>
      makeEvent({ id: `e${i}`, time: 1_000, subject: `s${i}`, data: { user: `u${i}` } }),
    );

  test("counts every event, key and member", async () => {
    await create();
    await applyAtOnce(crowd());
    const { count, unique } = await total();
    expect(count).toBe(10_000);
    expect(Math.abs((unique as number) - 10_000)).toBeLessThan(300);
  });

  test("fails without being cut into pieces (the mutant)", async () => {
    await create({ script: "apply", from: "UNPACK_MAX = 4000", to: "UNPACK_MAX = 40000" });
    await expect(applyAtOnce(crowd())).rejects.toThrow("too many results to unpack");
  });
});

describe("times of the year 9999, longer than Lua prints by itself", () => {
  const last = makeEvent({ id: "last", time: TIME_MAX_MS, subject: "s" });
  const [from, to] = [TIME_MAX_MS - HOUR + 1, TIME_MAX_MS + 1];

  test("are kept to the millisecond", async () => {
    await create();
    await applyAtOnce([last]);
    expect((await total({ from, to })).count).toBe(1);
    const { time } = await readCounterState(harness.client, harness.partitions, harness.counter("all"));
    expect(time?.newest).toBe(TIME_MAX_MS);
  });

  test("are cut short when printed as Lua does (the mutant)", async () => {
    await create({ script: "apply", from: "'%d %d %d %d %d'", to: "'%s %s %s %s %s'" });
    await applyAtOnce([last]);
    const clocks = await harness.client.hvals(harness.partitions[0]!.clocks);
    expect(clocks[0]).toContain("e+14");
  });
});

describe("2,000 values of 9·10^15 millionths in one batch", () => {
  const values = () =>
    Array.from({ length: 2_000 }, (_, i) =>
      makeEvent({ id: `e${i}`, time: 1_000, subject: "s", data: { n: 8_999_999_999.5 } }),
    );

  test("add up to the last digit", async () => {
    await create();
    await applyAtOnce(values());
    expect((await total()).sum).toBe("17999999999000");
  });

  test("do not when they are added as one double (the mutant)", async () => {
    await create({ script: "apply", from: "local units = math.floor(micro / 1000000)", to: "local units = 0" });
    // The double is beyond what can be printed as an integer: it is wrong or refused, and never exact.
    const outcome = await applyAtOnce(values()).then(
      () => total(),
      (error: Error) => ({ sum: error.message }),
    );
    expect(outcome.sum).not.toBe("17999999999000");
  });
});

describe("a sum at the end of Redis's integers", () => {
  const event = makeEvent({ id: "a", time: 1_000, subject: "s", data: { n: 9_000_000_000 } });

  async function nearTheEnd(): Promise<void> {
    const [hash, field] = totalCell();
    await harness.client.hset(hash, `${field}s`, (INTEGER_MAX - 10n).toString());
  }

  test("is carried on, and nothing fails after the first write", async () => {
    await create();
    await nearTheEnd();
    await applyAtOnce([event]);
    expect(await total()).toMatchObject({ count: 1, sum: (INTEGER_MAX - 10n + 9_000_000_000n).toString() });
  });

  test("leaves half of an event behind when the overflow is not met (the mutant)", async () => {
    await create({ script: "apply", from: "redis.pcall('HINCRBY'", to: "redis.call('HINCRBY'" });
    await nearTheEnd();
    await expect(applyAtOnce([event])).rejects.toThrow("overflow");
    expect(await harness.client.hget(...totalCell())).toBe("1");
    expect(await harness.client.hget(harness.partitions[0]!.state, "applied")).toBeNull();
  });
});

test("counts above 2^53 are answered to the last digit", async () => {
  await create();
  const [hash, field] = totalCell();
  await harness.client.hset(hash, field, "9007199254740992");
  await applyAtOnce([makeEvent({ id: "a", time: 1_000, subject: "s" })]);
  expect((await total()).count).toBe("9007199254740993");
});
