import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { CounterInput } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import { acquireLease } from "../../src/redis/commands/lease.ts";
import { Applier } from "../../src/stream/applier.ts";
import { Dedupe } from "../../src/stream/dedupe.ts";
import { ensureGroup, type ReceivedEntry, readNew } from "../../src/stream/entries.ts";
import { IdTable } from "../../src/stream/id-table.ts";
import { StreamMetrics } from "../../src/stream/metrics.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** What is looked up of a batch together with the one before it, and what may happen until it is applied itself. */

const TIME = Date.parse("2015-09-12T10:00:00Z");
const HOUR = 3_600_000;
/** Its own time says where it is remembered. */
const ULID = "01K9Z3NDEKTSV4RRFFQ69G5FAV";
/** Its eighth character counts units of about a second. */
const SECONDS = ["D", "E", "F"];
/** Two owners at a time would remember ids without a time in different places. */
const ulidOf = (letter: string, second = "D") =>
  `${ULID.slice(0, 7)}${second}${ULID.slice(8, -1)}${letter.toUpperCase()}`;
const COUNTER: CounterInput = { name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" };

/** A mutant: plans know nothing of the batch before that Redis is still busy with. */
let forgetsSent = false;
/** In how many plans from here something goes wrong; 0 for never. */
let failsIn = 0;
vi.mock(import("../../src/stream/sightings.ts"), async (importOriginal) => {
  const original = await importOriginal();
  const sight: typeof original.sight = (sought, looked, known, arrival) => {
    const { sent } = known;
    const forgotten = sent && forgetsSent ? { ...sent, ids: new IdTable(0) } : sent;
    const sightings = original.sight(sought, looked, { ...known, sent: forgotten }, arrival);
    if (failsIn > 0 && --failsIn === 0) throw new Error("out of memory");
    return sightings;
  };
  return { ...original, sight };
});

/** Mutants: what is known of slices is kept, whatever happens; and a bound of ids, so that slices are forgotten all the time. */
let keepsSlices = false;
let idsMax: number | undefined;
vi.mock(import("../../src/stream/known-slices.ts"), async (importOriginal) => {
  const original = await importOriginal();
  class KnownSlices extends original.KnownSlices {
    constructor() {
      super(idsMax);
    }
    override clear(): void {
      if (!keepsSlices) super.clear();
    }
  }
  return { ...original, KnownSlices };
});

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  harness = await Harness.create(redis, { counters: [COUNTER] });
});
afterEach(() => {
  vi.restoreAllMocks();
  forgetsSent = false;
  failsIn = 0;
  keepsSlices = false;
  idsMax = undefined;
  harness.close();
});

const partition = () => harness.partitions[0] as Harness["partitions"][number];

async function openApplier(): Promise<Applier> {
  const { client, scripts, registry } = harness;
  await acquireLease(client, scripts, partition(), "token");
  const dedupe = await Dedupe.load(client, partition(), HOUR);
  return Applier.open(
    { partition: partition(), token: "token", client, scripts, registry, metrics: new StreamMetrics() },
    dedupe,
  );
}

/** One entry for each list of ids. */
async function received(...entries: readonly string[][]): Promise<ReceivedEntry[]> {
  const client = harness.client;
  await ensureGroup(client, partition());
  for (const ids of entries) await harness.send(ids.map((id) => makeEvent({ id, time: TIME })));
  return readNew(client, partition(), 1_000, 1);
}

async function countOf(name: string): Promise<number | string> {
  const answer = await harness.lookups.value({
    counter: harness.counter(name),
    subject: { owner: "total", shown: { key: null } },
    span: { from: TIME, to: TIME + HOUR },
  });
  return answer.count;
}

test.each([ULID, "no time of its own"])("%s, which comes again in the next batch, counts once", async (id) => {
  const applier = await openApplier();
  const batches = (await received([id, "x"], [id, "y"])).map((entry) => [entry]);
  for (const [i, batch] of batches.entries()) await applier.apply(batch, () => batches.slice(i + 1));
  expect(await countOf("all")).toBe(3);
});

test("the next batch is looked up with the one before it", async () => {
  const applier = await openApplier();
  const batches = (await received([ULID, "x"], [ULID, "y"], ["x", "z"])).map((entry) => [entry]);
  const run = vi.spyOn(harness.scripts.get("apply"), "run");
  for (const [i, batch] of batches.entries()) await applier.apply(batch, () => batches.slice(i + 1));
  expect(await countOf("all")).toBe(4);
  // One look, and then each of them.
  expect(run).toHaveBeenCalledTimes(1 + batches.length);
});

test("definitions change while the next batch is looked up: it counts under the newer ones", async () => {
  const applier = await openApplier();
  const batches = (await received(["a"], ["b"], ["c"])).map((entry) => [entry]);
  await applier.apply(batches[0]!, () => batches.slice(1));
  const definition = parseCounter({ ...COUNTER, name: "newer" });
  if (Array.isArray(definition)) throw new Error(JSON.stringify(definition));
  await harness.registry.put(definition);
  await applier.apply(batches[1]!, () => batches.slice(2));
  await applier.apply(batches[2]!);
  expect([await countOf("all"), await countOf("newer")]).toEqual([3, 2]);
});

test("a batch that is matched anew fills its generation: later ids are looked for in the one behind it, too", async () => {
  const [applier, other] = [await openApplier(), await openApplier()];
  // Matched once, they fit into the first generation; twice, and they do not.
  const many = Array.from({ length: 3_300 }, (_, i) => `${i}`);
  const entries = await received(["before"], many, ["between"], [many.at(-1) as string], [ULID]);
  const batches = [entries.slice(0, 1), entries.slice(1, -3), entries.slice(-3, -2), entries.slice(-2, -1)];
  await applier.apply(batches[0]!, () => batches.slice(1));
  await other.apply(entries.slice(-1)); // so that the next batch is refused
  for (const [i, batch] of batches.entries()) if (i > 0) await applier.apply(batch, () => batches.slice(i + 1));
  expect(await countOf("all")).toBe(3_303);
});

test("somebody else applies a copy after the next batch was looked up: it counts once", async () => {
  const [applier, other] = [await openApplier(), await openApplier()];
  const batches = (await received(["a"], [ULID], [ULID, "b"])).map((entry) => [entry]);
  await applier.apply(batches[0]!, () => batches.slice(1));
  await other.apply(batches[2]!);
  await applier.apply(batches[1]!, () => batches.slice(2));
  await applier.apply(batches[2]!);
  expect(await countOf("all")).toBe(3);
  expect(await harness.client.hget(partition().state, "applied")).toBe("3");
});

/** Applies batches of one entry each, all of which are known from the start. */
async function applyAll(applier: Applier, batches: readonly ReceivedEntry[][]): Promise<void> {
  for (const [i, batch] of batches.entries()) await applier.apply(batch, () => batches.slice(i + 1));
}

describe("a batch that is planned while Redis is busy with the one before it", () => {
  const ids = [
    ["a", "x"],
    ["b", "y"],
    ["c", "z"],
    ["c", "y", "d"],
    ["d", "c"],
    ["z", "b", "d"],
  ];
  const again = async (name = (id: string) => id) =>
    (await received(...ids.map((some) => some.map(name)))).map((entry) => [entry]);

  test("counts what came there once", async () => {
    await applyAll(await openApplier(), await again());
    expect(await countOf("all")).toBe(7);
  });

  test("counts it again if the plan does not know what was sent (the mutant)", async () => {
    forgetsSent = true;
    await applyAll(await openApplier(), await again());
    expect(await countOf("all")).toBeGreaterThan(7);
  });

  test("is planned again when that one was refused", async () => {
    const [applier, other] = [await openApplier(), await openApplier()];
    const batches = await again((id) => ulidOf(id));
    const run = vi.spyOn(harness.scripts.get("apply"), "run");
    for (const [i, batch] of batches.entries()) {
      // As the batch is sent: what it is then told to have moved, or to be applied already.
      if (i === 3)
        run.mockImplementationOnce(async (...args) => {
          await other.apply(batches[5]!);
          await other.apply(batch);
          return harness.scripts.get("apply").run(...args);
        });
      await applier.apply(batch, () => batches.slice(i + 1));
    }
    expect(await countOf("all")).toBe(7);
    expect(await harness.client.hget(partition().state, "applied")).toBe("6");
  });
});

const LOST = ["nothing", "request", "reply"] as const;

/** The next call of the script does not reach Redis, or its reply does not come back. */
function loseNext(what: "request" | "reply"): void {
  const script = harness.scripts.get("apply");
  const run = script.run.bind(script);
  vi.spyOn(script, "run").mockImplementationOnce(async (...args) => {
    if (what === "reply") await run(...args);
    throw new Error("Connection is closed.");
  });
}

describe("ids of a slice that was empty", () => {
  const batchesOf = async (...ids: readonly string[][]) =>
    (await received(...ids.map((some) => some.map((id) => ulidOf(id))))).map((entry) => [entry]);

  test("are looked up once, and then known", async () => {
    const applier = await openApplier();
    const run = vi.spyOn(harness.scripts.get("apply"), "run");
    const batches = await batchesOf(["a", "b"], ["b", "c"], ["a", "c", "d"]);
    for (const batch of batches) await applier.apply(batch);
    expect(await countOf("all")).toBe(4);
    expect(run).toHaveBeenCalledTimes(1 + batches.length);
  });

  test("are known to no successor", async () => {
    const batches = await batchesOf(["a"], ["a"]);
    for (const batch of batches) await (await openApplier()).apply(batch);
    expect(await countOf("all")).toBe(1);
  });

  /** Somebody else applies the second batch, of which there is a copy in the third. */
  async function countAfterOther(): Promise<number | string> {
    const [applier, other] = [await openApplier(), await openApplier()];
    const batches = await batchesOf(["a"], ["b"], ["b", "c"]);
    for (const [i, batch] of batches.entries()) await (i === 1 ? other : applier).apply(batch);
    return countOf("all");
  }

  test("are looked up again once somebody else has applied something", async () => {
    expect(await countAfterOther()).toBe(3);
  });

  test("would be missing if what was planned was kept then (the mutant)", async () => {
    keepsSlices = true;
    expect(await countAfterOther()).toBe(2);
  });

  /** A batch whose reply is lost, applied or not; what comes after it, and it again where it was not applied. */
  async function countAfterLoss(isApplied: boolean): Promise<number | string> {
    const applier = await openApplier();
    const [first, lost, next] = await batchesOf(["a"], ["b"], ["b", "c"]);
    await applier.apply(first!);
    loseNext(isApplied ? "reply" : "request");
    await expect(applier.apply(lost!, () => [next!])).rejects.toThrow("closed");
    if (!isApplied) await applier.apply(lost!);
    await applier.apply(next!);
    return countOf("all");
  }

  test.each([true, false])("count once when a reply is lost (applied: %s)", async (isApplied) => {
    expect(await countAfterLoss(isApplied)).toBe(3);
  });

  /** What is planned ahead of the second batch fails. */
  async function countAfterFailure(): Promise<number | string> {
    const applier = await openApplier();
    const batches = await batchesOf(["a"], ["b"], ["b", "c"]);
    await applier.apply(batches[0]!);
    failsIn = 2;
    for (const [i, batch] of batches.entries()) if (i > 0) await applier.apply(batch, () => batches.slice(i + 1));
    expect(failsIn).toBe(0);
    return countOf("all");
  }

  test("count once when planning ahead has failed", async () => {
    expect(await countAfterFailure()).toBe(3);
  });

  test("would be missing if they were taken for known then (the mutant)", async () => {
    keepsSlices = true;
    expect(await countAfterFailure()).toBe(2);
  });

  test("that was not applied would be missing if they were taken for known (the mutant)", async () => {
    keepsSlices = true;
    expect(await countAfterLoss(false)).toBe(2);
  });
});

test.each([undefined, 0, 3])(
  "whatever ids come again, whoever applies a batch in between, and whatever is known ahead: all count once (%s ids are held)",
  async (max) => {
    idsMax = max;
    const name = fc.tuple(fc.constantFrom(..."abcdefgh"), fc.constantFrom(...SECONDS));
    const entry = fc.array(
      name.map(([letter, second]) => ulidOf(letter, second)),
      { minLength: 1, maxLength: 4 },
    );
    const steps = fc.record({ known: fc.nat(4), other: fc.boolean(), lost: fc.constantFrom(...LOST) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(entry, steps), { minLength: 2, maxLength: 9 }), async (all) => {
        await harness.client.flushall();
        const own = await Harness.create(redis, { counters: [COUNTER] });
        harness.close();
        harness = own;
        const [applier, other] = [await openApplier(), await openApplier()];
        const batches = (await received(...all.map(([ids]) => ids))).map((one) => [one]);
        for (const [i, batch] of batches.entries()) {
          const { known, other: interferes, lost } = all[i]![1];
          if (interferes) await other.apply(batches[(i * 7) % batches.length]!);
          if (lost !== "nothing") loseNext(lost);
          const apply = () => applier.apply(batch, () => batches.slice(i + 1, i + 1 + known));
          await apply().catch(apply);
        }
        expect(await countOf("all")).toBe(new Set(all.flatMap(([ids]) => ids)).size);
      }),
      { numRuns: 60 },
    );
  },
);
