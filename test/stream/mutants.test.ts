import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { CounterInput } from "../../src/core/counter.ts";
import { GROUP } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import type { Sightings } from "../../src/stream/sightings.ts";
import { changing, Harness, makeEvent, type ScriptChange } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { playHistory, type Step } from "./history.ts";

/**
 * Every mechanism that keeps counts exact is removed here, one at a time: the same history that agrees with the model
 * on the real script must then disagree. A mechanism whose removal nobody notices is not proved by any test.
 */

/** What a mutant makes of what the worker has found about the ids of a batch. */
let changeSightings: ((sightings: Sightings) => Sightings) | undefined;
vi.mock(import("../../src/stream/sightings.ts"), async (importOriginal) => {
  const { sight, ...others } = await importOriginal();
  const changed: typeof sight = (...args) => {
    const sightings = sight(...args);
    return sightings && (changeSightings?.(sightings) ?? sightings);
  };
  return { ...others, sight: changed };
});

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
    Array.from({ length: 21 + k }, (_, i) => at(`k${k}.${i}`, 41, `/k${k}`)),
  );
  return keys.flat();
}

/** One key's events in two finest buckets of the minute, which together make it the largest. */
function risers(batch: string): ReturnType<typeof at>[] {
  return Array.from({ length: 50 }, (_, i) => at(`${batch}${i}`, i % 2 === 0 ? 41 : 52, "/riser"));
}

/** Its own time says in which slice it is remembered. */
const ULID = "01K9Z3NDEKTSV4RRFFQ69G5FAV";

interface Mutant {
  readonly removes: string;
  readonly change: ScriptChange | ((sightings: Sightings) => Sightings);
  readonly history: readonly Step[];
}

/** Duplicates of what lies in the same batch pass for new. */
function onlyKnownBefore(sightings: Sightings): Sightings {
  const inBatch = new Set(sightings.inserts.flatMap(({ fingerprints }) => fingerprints));
  const known = [...sightings.duplicates].filter(({ received }) => !inBatch.has(received.fingerprint));
  return { ...sightings, duplicates: new Set(known) };
}

const MUTANTS: Mutant[] = [
  {
    removes: "the XACK fence (a frozen owner wakes after its entry was applied and its ids were forgotten)",
    change: {
      script: "apply",
      from: "elseif isKept or not isPending(entry.id) then",
      to: "elseif isKept then",
    },
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
    change: {
      script: "apply",
      from: "if found[i] == 1 then answer[#answer + 1] = before + from + i - 2 end",
      to: "",
    },
    history: [send(at("a", 1)), read, apply, send(at("a", 2)), read, apply],
  },
  {
    removes: "asking whether a slice is empty",
    change: {
      script: "apply",
      from: "if not call('ZSCORE', FAMILIES, family) then",
      to: "do",
    },
    history: [
      send(at(ULID, 1)),
      read,
      apply,
      { do: "die", partition: 0, sameToken: false },
      send(at(ULID, 2)),
      read,
      apply,
    ],
  },
  {
    removes: "dedupe within a batch",
    change: onlyKnownBefore,
    history: [send(at("a", 1), at("a", 2)), read, apply],
  },
  {
    removes: "remembering ids of late events",
    change: { script: "apply", from: "callMany(insert.fingerprints, 'SADD', KEYS[insert.key])", to: "" },
    history: [send(at("b", 100)), read, apply, send(at("a", 1)), read, apply, send(at("a", 1)), read, apply],
  },
  {
    removes: "lateness",
    change: {
      script: "apply",
      from: "and bucket.last <= counter.closed",
      to: "and false",
    },
    history: [send(at("a", 100)), read, apply, send(at("b", 1)), read, apply],
  },
  {
    removes: "deletion of applied entries",
    change: {
      script: "apply",
      from: "callMany(acknowledged, 'XDEL', STREAM)",
      to: "",
    },
    history: [send(at("a", 1)), read, apply],
  },
  {
    removes: "the order of ranks within one wider bucket",
    change: {
      script: "apply",
      from: "callMany(board.args, 'ZADD', KEYS[at], 'GT')",
      to: "callMany(board.args, 'ZADD', KEYS[at], 'LT')",
    },
    // The first event lies in the next minute, so this one is written with every event and not folded.
    history: [
      send(at("first", 61)),
      read,
      apply,
      send(...crowd(), ...risers("a")),
      read,
      apply,
      send(...risers("b"), at("last", 59)),
      read,
      apply,
    ],
  },
];

async function differences(
  counters: readonly CounterInput[],
  history: readonly Step[],
  change?: Mutant["change"],
): Promise<string[]> {
  const harness = await Harness.create(redis, {
    counters,
    horizonMs: 1_000,
    mutate: changing(typeof change === "object" ? change : undefined),
  });
  if (typeof change === "function") changeSightings = change;
  try {
    return await playHistory(harness, history);
  } finally {
    changeSightings = undefined;
    harness.close();
  }
}

describe.each(MUTANTS)("without $removes", (mutant) => {
  test("the real script counts right", async () => {
    expect(await differences(COUNTERS, mutant.history)).toEqual([]);
  });

  test("a count is wrong", async () => {
    expect(await differences(COUNTERS, mutant.history, mutant.change)).not.toEqual([]);
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

describe("a frozen owner wakes, and applies a copy between another's look at the ids and its script", () => {
  const CHECK = "if not rebuild and (state[3] or '0') ~= batch.applied then return { 'moved' } end";

  async function countOfBoth(mutation?: string): Promise<number | string> {
    const harness = await Harness.create(redis, {
      counters: COUNTERS,
      mutate: changing(mutation === undefined ? undefined : { script: "apply", from: CHECK, to: mutation }),
    });
    try {
      const partition = harness.partitions[0] as Harness["partitions"][number];
      // The fold of the minute has its marks from the first event on.
      await harness.send([at("before", -60)]);
      await (await harness.own(partition)).apply(await readNew(harness.client, partition, 1, 1));
      const frozen = await harness.own(partition, "token");
      await harness.send([at(ULID, 1)]);
      await harness.send([at(ULID, 2)]);
      const [first, copy] = await readNew(harness.client, partition, 2, 1);
      if (!first || !copy) throw new Error("both entries must be there");
      const owner = await harness.own(partition, "token");
      const script = harness.scripts.get("apply");
      const run = script.run.bind(script);
      vi.spyOn(script, "run")
        .mockImplementationOnce(run)
        .mockImplementationOnce(async (...args) => {
          await frozen.apply([copy]);
          return run(...args);
        });
      await owner.apply([first]);
      await owner.apply([copy]);
      const answer = await harness.lookups.value({
        counter: harness.counter("pages"),
        subject: { owner: "total", shown: { key: null } },
        span: { from: Date.parse("2015-09-12T10:00:00Z"), to: Date.parse("2015-09-12T10:01:00Z") },
      });
      return answer.count;
    } finally {
      vi.restoreAllMocks();
      harness.close();
    }
  }

  test("the event counts once", async () => {
    expect(await countOfBoth()).toBe(1);
  });

  test("without the check that nothing was applied since, it would count twice (the mutant)", async () => {
    expect(await countOfBoth("")).toBe(2);
  });
});
