import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CounterInput } from "../../src/core/counter.ts";
import { GROUP } from "../../src/redis/keys.ts";
import type { ScriptName } from "../../src/redis/scripts.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { playHistory, type Step } from "./history.ts";

/**
 * Every mechanism that keeps counts exact is removed here, one at a time: the same history that agrees with the model
 * on the real script must then disagree. A mechanism whose removal nobody notices is not proved by any test.
 */

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const COUNTERS: CounterInput[] = [
  { name: "pages", event: "*", by: ["subject"], sum: "data.value", windows: ["10s", "1m"], lateness: "30s" },
];

const at = (id: string, seconds: number, subject = "/", value = 1) =>
  makeEvent({ id, subject, time: Date.parse("2015-09-12T10:00:00Z") + seconds * 1_000, data: { value } });
const send = (...events: ReturnType<typeof at>[]): Step => ({ do: "send", events });
const read: Step = { do: "read", partition: 0, count: 100 };
const apply: Step = { do: "apply", partition: 0 };

/** Forty keys with 21 to 60 events each, more than a first look at a board shows. */
function crowd(): ReturnType<typeof at>[] {
  const keys = Array.from({ length: 40 }, (_, k) =>
    Array.from({ length: 21 + k }, (_, i) => at(`k${k}.${i}`, 1, `/k${k}`)),
  );
  return keys.flat();
}

/** One key's events in two finest buckets of the minute, which together make it the largest. */
function risers(batch: string): ReturnType<typeof at>[] {
  return Array.from({ length: 50 }, (_, i) => at(`${batch}${i}`, i % 2 === 0 ? 1 : 12, "/riser"));
}

interface Mutant {
  readonly removes: string;
  readonly script: ScriptName;
  readonly from: string;
  readonly to: string;
  readonly history: readonly Step[];
}

const MUTANTS: Mutant[] = [
  {
    removes: "the XACK fence (a frozen owner wakes after its entry was applied and its ids were forgotten)",
    script: "apply",
    from: "entry.mine = rebuild ~= nil or redis.call('XACK', STREAM, batch.group, entry.id) == 1",
    to: "redis.call('XACK', STREAM, batch.group, entry.id); entry.mine = true",
    history: [
      send(at("a", 1)),
      read,
      { do: "die", partition: 0, sameToken: true },
      { do: "outlive the horizon" },
      { do: "wake", partition: 0 },
    ],
  },
  {
    removes: "dedupe between batches",
    script: "apply",
    from: "if yes == 1 then known[look[from + i - 1]] = true end",
    to: "",
    history: [send(at("a", 1)), read, apply, send(at("a", 2)), read, apply],
  },
  {
    removes: "dedupe within a batch",
    script: "apply",
    from: "          known[fingerprint] = true\n",
    to: "",
    history: [send(at("a", 1), at("a", 2)), read, apply],
  },
  {
    removes: "remembering ids of late events",
    script: "apply",
    from: "          slot.insert[#slot.insert + 1] = fingerprint\n          if count(event, hit, entry.arrival) then",
    to: "          if count(event, hit, entry.arrival) then slot.insert[#slot.insert + 1] = nil",
    history: [send(at("a", 1)), read, apply, send(at("a", 1)), read, apply],
  },
  {
    removes: "lateness",
    script: "apply",
    from: "bucket.late = not rebuild and not bucket.corrected and closed ~= nil and bucket.last <= closed",
    to: "bucket.late = false",
    history: [send(at("a", 100)), read, apply, send(at("b", 1)), read, apply],
  },
  {
    removes: "deletion of applied entries",
    script: "apply",
    from: "callMany(acknowledged, 'XDEL', STREAM)",
    to: "",
    history: [send(at("a", 1)), read, apply],
  },
  {
    removes: "the order of ranks within one wider bucket",
    script: "apply",
    from: "callMany(board.args, 'ZADD', KEYS[at], 'GT')",
    to: "callMany(board.args, 'ZADD', KEYS[at], 'LT')",
    history: [send(...crowd(), ...risers("a")), read, apply, send(...risers("b"), at("last", 59)), read, apply],
  },
];

async function differences(
  counters: readonly CounterInput[],
  history: readonly Step[],
  mutant?: Mutant,
): Promise<string[]> {
  const harness = await Harness.create(redis, {
    counters,
    horizonMs: 1_000,
    mutate: (name, source) => {
      if (!mutant || name !== mutant.script) return source;
      const mutated = source.replace(mutant.from, mutant.to);
      if (mutated === source) throw new Error(`the script has no "${mutant.from}"`);
      return mutated;
    },
  });
  try {
    return await playHistory(harness, history);
  } finally {
    harness.close();
  }
}

describe.each(MUTANTS)("without $removes", (mutant) => {
  test("the real script counts right", async () => {
    expect(await differences(COUNTERS, mutant.history)).toEqual([]);
  });

  test("a count is wrong", async () => {
    expect(await differences(COUNTERS, mutant.history, mutant)).not.toEqual([]);
  });
});

describe("a group made at $ instead of 0", () => {
  const history = [send(at("b", 2)), read, apply];

  async function withGroupAt(start: string): Promise<string[]> {
    const harness = await Harness.create(redis, { counters: COUNTERS });
    try {
      await harness.send([at("a", 1)]);
      const stream = harness.partitions[0]?.stream as string;
      if (start === "$") await harness.client.xgroup("CREATE", stream, GROUP, "$");
      return await playHistory(harness, history);
    } finally {
      harness.close();
    }
  }

  test("made by the worker, it delivers what was queued before", async () => {
    expect(await withGroupAt("0")).toEqual([]);
  });

  test("made at $, events are missing", async () => {
    expect(await withGroupAt("$")).not.toEqual([]);
  });
});
