import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { CounterInput } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import { acquireLease } from "../../src/redis/commands/lease.ts";
import { Applier } from "../../src/stream/applier.ts";
import { Dedupe } from "../../src/stream/dedupe.ts";
import { ensureGroup, type ReceivedEntry, readNew } from "../../src/stream/entries.ts";
import { StreamMetrics } from "../../src/stream/metrics.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** What is looked up of a batch together with the one before it, and what may happen until it is applied itself. */

const TIME = Date.parse("2015-09-12T10:00:00Z");
const HOUR = 3_600_000;
/** Its own time says where it is remembered. */
const ULID = "01K9Z3NDEKTSV4RRFFQ69G5FAV";
/** Two owners at a time would remember ids without a time in different places. */
const ulidOf = (letter: string) => `${ULID.slice(0, -1)}${letter.toUpperCase()}`;
const COUNTER: CounterInput = { name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" };

/** A mutant: plans know nothing of the batch before that Redis is still busy with. */
let forgetsSent = false;
vi.mock(import("../../src/stream/sightings.ts"), async (importOriginal) => {
  const original = await importOriginal();
  const sight: typeof original.sight = (sought, seen, sent) => {
    return original.sight(
      sought,
      seen,
      sent && forgetsSent ? { ...sent, fingerprints: new original.Fingerprints(0) } : sent,
    );
  };
  return { ...original, sight };
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
    const batches = await again(ulidOf);
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

test("whatever ids come again, whoever applies a batch in between, and whatever is known ahead: all count once", async () => {
  const entry = fc.array(fc.constantFrom(..."abcdefgh").map(ulidOf), { minLength: 1, maxLength: 4 });
  const steps = fc.record({ known: fc.nat(4), other: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(entry, steps), { minLength: 2, maxLength: 9 }), async (all) => {
      await harness.client.flushall();
      const own = await Harness.create(redis, { counters: [COUNTER] });
      harness.close();
      harness = own;
      const [applier, other] = [await openApplier(), await openApplier()];
      const batches = (await received(...all.map(([ids]) => ids))).map((one) => [one]);
      for (const [i, batch] of batches.entries()) {
        const { known, other: interferes } = all[i]![1];
        if (interferes) await other.apply(batches[(i * 7) % batches.length]!);
        await applier.apply(batch, () => batches.slice(i + 1, i + 1 + known));
      }
      expect(await countOf("all")).toBe(new Set(all.flatMap(([ids]) => ids)).size);
    }),
    { numRuns: 60 },
  );
});
