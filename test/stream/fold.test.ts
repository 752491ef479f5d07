import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { foldPassed } from "../../src/buckets/fold.ts";
import type { CounterInput } from "../../src/core/counter.ts";
import type { Window } from "../../src/core/window.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import { beforeCommand } from "../support/before-command.ts";
import { changing, Harness, makeEvent, type ScriptChange } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { playHistory, type Step } from "./history.ts";

/** Wider windows are made up of finer buckets once these are complete; and what keeps that exact, taken away. */

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

const COUNTER: CounterInput = {
  name: "pages",
  event: "*",
  by: ["subject"],
  sum: "data.value",
  unique: "data.user",
  windows: ["10s", "1m", "5m"],
  lateness: "30s",
};
const T = Date.parse("2015-09-12T10:00:00Z");

const at = (id: string, seconds: number, subject = "/", value = 1) =>
  makeEvent({ id, subject, time: T + seconds * 1_000, data: { value, user: id } });
const send = (...events: ReturnType<typeof at>[]): Step => ({ do: "send", events });
const read: Step = { do: "read", partition: 0, count: 100 };
const apply: Step = { do: "apply", partition: 0 };
const fold = (number = 0, meanwhile: "apply" | "die" = "apply"): Step => ({
  do: "fold",
  partition: 0,
  at: number,
  meanwhile,
});

async function differences(history: readonly Step[], change?: ScriptChange): Promise<string[]> {
  harness?.close();
  harness = await Harness.create(redis, { counters: [COUNTER], mutate: changing(change) });
  return playHistory(harness, history);
}

/** A minute of several keys that the clock has passed. */
const PASSED = [
  send(at("a", 1), at("b", 12), at("c", 13, "/x"), at("d", 41, "/y", 2.5)),
  read,
  apply,
  send(at("e", 64), at("f", 66, "/x")),
  read,
  apply,
];
/** An event for that minute that is not too late, of a key and a finer bucket that were there, or were not. */
const stragglers = [at("s", 42), at("s", 55, "/x"), at("s", 55, "/new")];
/** More commands than a fold of that minute takes. */
const COMMANDS = 14;

describe("a bucket is folded", () => {
  test("once or again", async () => {
    expect(await differences([...PASSED, fold()])).toEqual([]);
    expect(await differences([...PASSED, fold(), fold()])).toEqual([]);
  });

  test("into windows that are themselves folded", async () => {
    const later = [send(at("g", 301), at("h", 310, "/y")), read, apply];
    expect(await differences([...PASSED, ...later, fold()])).toEqual([]);
    expect(await differences([...PASSED, fold(), ...later, fold()])).toEqual([]);
  });

  test("by a process that dies at any command, and then by another", async () => {
    for (let number = 1; number <= COMMANDS; number++) {
      expect(await differences([...PASSED, fold(number, "die")]), `command ${number}`).toEqual([]);
      expect(await differences([...PASSED, fold(number, "die"), fold()]), `command ${number}`).toEqual([]);
    }
  });

  test("while events for it are applied, at any command", { timeout: 60_000 }, async () => {
    for (const event of stragglers) {
      for (let number = 1; number <= COMMANDS; number++) {
        const history = [...PASSED, send(event), read, fold(number)];
        expect(await differences(history), `${event.subject} at command ${number}`).toEqual([]);
      }
    }
  });

  /** Hours later, which is more than folding may be behind; then a little later, and an event for the time before. */
  const leap = [send(at("l", 20_000), at("m", 20_001, "/y")), read, apply];
  const after = [send(at("n", 20_070), at("o", 19_999, "/x")), read, apply, send(at("p", 20_150)), read, apply];

  test("after the clock has leapt, while all is written with every event", async () => {
    for (const history of [
      [...PASSED, ...leap],
      [...PASSED, ...leap, ...after],
      [...PASSED, ...leap, fold(), ...after],
      [...PASSED, ...leap, ...after, fold()],
      [...PASSED, fold(), ...leap, fold(), ...after, fold()],
      [...PASSED, ...leap, fold(), ...after, send(at("q", 50_000)), read, apply, fold(), fold()],
    ]) {
      expect(await differences(history)).toEqual([]);
    }
  });

  test("after the clock has leapt, at any command", { timeout: 60_000 }, async () => {
    for (let number = 1; number <= 2 * COMMANDS; number++) {
      const interrupted = [send(at("s", 20_055)), read, fold(number), fold(number, "die"), ...after, fold()];
      expect(await differences([...PASSED, ...leap, ...interrupted]), `command ${number}`).toEqual([]);
    }
  });

  test("and events for it come later", async () => {
    expect(await differences([...PASSED, fold(), send(...stragglers.slice(0, 1)), read, apply])).toEqual([]);
  });
});

describe.each<{ removes: string; change: ScriptChange; histories: Step[][] }>([
  {
    removes: "that a bucket whose fold has begun is written with every event",
    change: { script: "apply", from: "if isLeft ~= bucket.left[f] then", to: "if isLeft and not bucket.left[f] then" },
    histories: [[...PASSED, fold(), send(at("s", 42)), read, apply]],
  },
  {
    removes: "that it is written before its keys are read",
    change: {
      script: "fold-mark",
      from: "direct = math.max(folded, under, direct)",
      to: "direct = math.max(folded, direct)",
    },
    histories: stragglers.flatMap((event) =>
      Array.from({ length: COMMANDS }, (_, i) => [...PASSED, send(event), read, fold(i + 1)]),
    ),
  },
  {
    removes: "that what was counted before a leap is still to be folded",
    change: {
      script: "apply",
      from: "if folded >= empty then folded, resumed, direct = start, start, start",
      to: "if true then folded, resumed, direct = start, start, start",
    },
    histories: [[...PASSED, send(at("l", 20_000)), read, apply]],
  },
  {
    removes: "that the sum replaces what the cell holds",
    change: {
      script: "fold",
      from: "call('HSET', hash, field .. SUFFIXES[column], isShort and string.format('%d', sum) or '0') == 1",
      to: "call('HINCRBY', hash, field .. SUFFIXES[column], sum) == sum",
    },
    histories: Array.from({ length: COMMANDS }, (_, i) => [...PASSED, fold(i + 1, "die"), fold()]),
  },
  {
    removes: "uniting sketches",
    change: { script: "fold", from: "if sketches > 0 then", to: "if false then" },
    histories: [[...PASSED, fold()]],
  },
  {
    removes: "ranking",
    change: { script: "fold", from: "if key and count > floor then", to: "if false then" },
    histories: [[...PASSED, fold()]],
  },
  {
    removes: "an index of the widest window that has every key at once",
    change: { script: "apply", from: "if w == 1 then", to: "if false then" },
    histories: [[...PASSED]],
  },
])("without $removes", ({ change, histories }) => {
  test("a count is wrong (the mutant)", { timeout: 60_000 }, async () => {
    const found: string[] = [];
    for (const history of histories) found.push(...(await differences(history, change)));
    expect(found.length).toBeGreaterThan(0);
  });
});

/** A counter whose minute was passed by the clock and is not folded. */
async function passed(change?: ScriptChange): Promise<PartitionKeys> {
  harness?.close();
  harness = await Harness.create(redis, { counters: [COUNTER], mutate: changing(change) });
  const [partition] = harness.partitions as [PartitionKeys];
  const owner = await harness.own(partition);
  await harness.send([at("a", 1), at("b", 12), at("c", 13, "/x")]);
  await owner.apply(await readNew(harness.client, partition, 10, 1));
  await harness.send([at("d", 64)]);
  await owner.apply(await readNew(harness.client, partition, 10, 1));
  return partition;
}

const foldNow = (client: RedisClient = harness.client) =>
  foldPassed({ client, scripts: harness.scripts }, harness.partitions[0] as PartitionKeys, harness.counter("pages"));

const minute = () =>
  harness.lookups.value({
    counter: harness.counter("pages"),
    subject: { owner: "total", shown: { key: null } },
    span: { from: T, to: T + 60_000 },
  });

const windowOf = (w: number) => harness.counter("pages").windows[w] as Window;

describe("a fold that was frozen while another ended, and finer buckets began to leave Redis", () => {
  async function countAfterwards(change?: ScriptChange): Promise<unknown> {
    for (let number = 1; number <= COMMANDS; number++) {
      const partition = await passed(change);
      const finer = partition.window(harness.counter("pages"), windowOf(0));
      const late = beforeCommand(harness.client, number, async () => {
        await foldNow();
        await harness.client.hdel(finer.cells(finer.chunk(T), "total"), finer.field(T), `${finer.field(T)}s`);
      });
      await foldNow(late);
      const { count } = await minute();
      if (count !== 3) return count;
    }
    return 3;
  }

  test("changes nothing", async () => {
    expect(await countAfterwards()).toBe(3);
  });

  test("does without the look at the mark (the mutant)", async () => {
    expect(await countAfterwards({ script: "fold", from: "tonumber(folded) > args.start", to: "false" })).not.toBe(3);
  });
});

test("a key is in the index of a folded bucket once", async () => {
  const partition = await passed();
  for (let number = 1; number <= COMMANDS; number++) {
    await foldNow(
      beforeCommand(harness.client, number, () => {
        throw new Error("killed");
      }),
    ).catch(() => undefined);
  }
  await foldNow();
  const keys = partition.window(harness.counter("pages"), windowOf(1));
  expect((await harness.client.lrange(keys.index(T), 0, -1)).sort()).toEqual(["/", "/x"]);
});

test("sums of any size fold exactly", { timeout: 60_000 }, async () => {
  const partition = await passed();
  const finer = partition.window(harness.counter("pages"), windowOf(0));
  const hash = finer.cells(finer.chunk(T), "total");
  const number = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }),
    fc.bigInt({ min: -(10n ** 13n), max: 10n ** 13n }),
    fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n) + 1n, 0n),
  );
  const cell = fc.record({
    s: number,
    f: fc.bigInt({ min: 0n, max: 10n ** 15n }),
    c: fc.bigInt({ min: -3n, max: 3n }),
  });
  const foldKey = `${harness.counter("pages").generation.toString(36)}:${(60).toString(36)}:f`;
  const unfolded = await harness.client.hget(partition.cold, foldKey);
  await fc.assert(
    fc.asyncProperty(fc.array(cell, { minLength: 6, maxLength: 6 }), async (cells) => {
      await harness.client.hset(partition.cold, foldKey, unfolded as string);
      for (const [i, { s, f, c }] of cells.entries()) {
        const field = finer.field(T + i * 10_000);
        await harness.client.hset(hash, {
          [field]: "1",
          [`${field}s`]: `${s}`,
          [`${field}f`]: `${f}`,
          [`${field}c`]: `${c}`,
        });
        await harness.client.zadd(finer.starts, T + i * 10_000, T + i * 10_000);
      }
      const before = await minute();
      await foldNow();
      expect(await harness.client.hget(partition.cold, foldKey)).not.toBe(unfolded);
      expect((await minute()).sum).toBe(before.sum);
    }),
    { numRuns: 100 },
  );
});
