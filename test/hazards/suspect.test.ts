import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { releaseLease } from "../../src/redis/commands/lease.ts";
import type { ScriptName } from "../../src/redis/scripts.ts";
import { type ReceivedEntry, readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** How owners in turn come to know an entry that none of them gets past. */

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

/** Three entries of two events each, delivered and not applied. */
async function leavePending(mutate?: (name: ScriptName, source: string) => string): Promise<ReceivedEntry[]> {
  harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
    ...(mutate && { mutate }),
  });
  for (const id of ["a", "b", "c"]) {
    await harness.send([1, 2].map((n) => makeEvent({ id: `${id}${n}`, time: 1_000_000 })));
  }
  await harness.own(partition(), "first");
  return readNew(harness.client, partition(), 10, 1);
}

const partition = () => harness.partitions[0]!;
const note = () => harness.client.hget(partition().state, "suspect");
const letters = async () =>
  (await harness.client.xrange(partition().dead, "-", "+")).map(([, fields]) => ({
    reason: fields[3],
    payload: fields[5],
  }));

/** Owners that take over, one after the other, and end before they get anywhere. */
async function endInTurn(owners: number): Promise<void> {
  for (let i = 1; i <= owners; i++) await harness.own(partition(), `owner ${i}`);
}

test("owners in turn with the same oldest entry are counted, the same owner once more is not", async () => {
  const [oldest] = await leavePending();
  expect(await note()).toBeNull();
  await endInTurn(2);
  expect(await note()).toBe(`${oldest?.id} 2 owner 2`);
  // What an outage of Redis looks like: the owner has not ended and begins again.
  for (let i = 0; i < 10; i++) await harness.own(partition(), "owner 2");
  expect(await note()).toBe(`${oldest?.id} 2 owner 2`);
});

test("once the oldest entry is another, owners are counted anew", async () => {
  const [a, b] = await leavePending();
  await endInTurn(4);
  const owner = await harness.own(partition(), "owner 4");
  await owner.apply([a!]);
  await harness.own(partition(), "owner 5");
  expect(await note()).toBe(`${b?.id} 1 owner 5`);
});

test("an owner that gives its lease back did not end by the entry", async () => {
  await leavePending();
  await endInTurn(5);
  await releaseLease(harness.client, harness.scripts, partition(), "owner 4");
  expect(await note()).not.toBeNull();
  await releaseLease(harness.client, harness.scripts, partition(), "owner 5");
  expect(await note()).toBeNull();
});

test("from the third owner on, pending entries are applied one at a time", async () => {
  await leavePending();
  await endInTurn(2);
  const batches = harness.scripts.get("apply");
  let runs = 0;
  const run = batches.run.bind(batches);
  batches.run = (...args) => {
    runs++;
    return run(...args);
  };
  await (await harness.own(partition(), "owner 3")).applyPending();
  // Each is looked up, and then applied.
  expect(runs).toBe(6);
  expect(await letters()).toEqual([]);
  expect(await harness.client.xlen(partition().stream)).toBe(0);
});

test("the sixth owner makes dead letters of its events, each on its own, and applies all others", async () => {
  await leavePending();
  await endInTurn(5);
  await (await harness.own(partition(), "owner 6")).applyPending();
  const reason = "its worker ended 5 times while applying it";
  expect(await letters()).toMatchObject([{ reason }, { reason }]);
  expect((await letters()).map(({ payload }) => JSON.parse(payload!)[0][2])).toEqual(["a1", "a2"]);
  expect(await harness.client.hget(partition().state, "applied")).toBe("3");
});

test("the ninth owner does not even take it apart", async () => {
  const [oldest] = await leavePending();
  const payload = (await harness.client.xrange(partition().stream, oldest!.id, oldest!.id))[0]![1][1];
  await endInTurn(8);
  await (await harness.own(partition(), "owner 9")).applyPending();
  expect(await letters()).toEqual([{ reason: "its worker ended 8 times while applying it", payload }]);
});

test("without counting owners, the entry is applied again for ever (the mutant)", async () => {
  await leavePending((name, source) => {
    const mutated = source.replace("(last == token and 0 or 1)", "0");
    if (name === "take-over" && mutated === source) throw new Error("the mutant changes nothing");
    return mutated;
  });
  await endInTurn(12);
  await (await harness.own(partition(), "owner 13")).applyPending();
  expect(await letters()).toEqual([]);
});
