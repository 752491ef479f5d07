import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
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
const COUNTER: CounterInput = { name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" };

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
  return readNew(client, partition(), entries.length, 1);
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
