import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Event } from "../../src/core/event.ts";
import type { ScriptName } from "../../src/redis/scripts.ts";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { countAll } from "./support.ts";

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => harness.close());

const KEYS_MAX = 10;
const SUBJECTS = 300;

/** Many keys, each in both partitions, met in another order by each. */
async function flood(mutate?: (name: ScriptName, source: string) => string): Promise<void> {
  harness = await Harness.create(redis, {
    partitions: 2,
    counters: [
      { name: "all", event: "*", by: ["subject"], windows: ["1m", "1h"], keysMax: KEYS_MAX, lateness: "4000d" },
    ],
    ...(mutate && { mutate }),
  });
  const events: Event[] = [];
  for (const partition of harness.partitions) {
    const subjects = Array.from({ length: SUBJECTS }, (_, i) => `s${i}`);
    if (partition === harness.partitions[1]) subjects.reverse();
    for (const subject of subjects) events.push(eventIn(partition, subject));
  }
  await harness.send(events);
  const owners = await Promise.all(harness.partitions.map((partition) => harness.own(partition)));
  await Promise.all(
    owners.map(async (owner, p) => owner.apply(await readNew(harness.client, harness.partitions[p]!, 10, 1))),
  );
}

function eventIn(partition: Harness["partitions"][number], subject: string): Event {
  for (let i = 0; ; i++) {
    const event = makeEvent({ id: `${subject}.${i}`, subject, time: 1_000 });
    if (harness.partitionOf(event) === partition) return event;
  }
}

/** Names of the keys with cells of their own in a partition. */
async function ownKeys(partition: number): Promise<string[]> {
  const prefix = harness.partitions[partition]!.stream.slice(0, -"stream".length);
  const names = await harness.client.keys(`${prefix}*:c:*:ks*`);
  return [...new Set(names.map((name) => name.replace(/^.*:k/, "")))].sort();
}

test("a flood of keys: those admitted are the same in every partition, and no event is lost with the others", async () => {
  await flood();
  const [first, second] = [await ownKeys(0), await ownKeys(1)];
  expect(first.length).toBe(KEYS_MAX);
  expect(second).toEqual(first);
  expect(await countAll(harness)).toBe(2 * SUBJECTS);
  const span = { from: 0, to: 3_600_000 };
  const subject = { owner: "other", shown: { key: null, other: true } } as const;
  const { count } = await harness.lookups.value({ counter: harness.counter("all"), subject, span });
  expect(count).toBe(2 * (SUBJECTS - KEYS_MAX));
});

test("without the limit every key has cells of its own (the mutant)", async () => {
  await flood((name, source) => {
    const mutated = source.replace("if held < max then", "if true then");
    if (name === "admit" && mutated === source) throw new Error("the mutant changes nothing");
    return name === "admit" ? mutated : source;
  });
  expect((await ownKeys(0)).length).toBe(SUBJECTS);
});

test("sketches exist only where a counter asks for them", async () => {
  await flood();
  expect(await harness.client.keys("*:u:*")).toEqual([]);
});

test("an event that cannot be counted takes no key's place", async () => {
  harness = await Harness.create(redis, {
    counters: [
      { name: "pages", event: "*", by: ["subject"], windows: ["1m"], keysMax: 1, lateness: "4000d" },
      { name: "sums", event: "*", by: [], sum: "data.n", windows: ["1m"], lateness: "4000d" },
    ],
  });
  const [partition] = harness.partitions;
  await harness.send([
    makeEvent({ id: "a", subject: "/never", time: 1_000, data: { n: 1e300 } }),
    makeEvent({ id: "b", subject: "/counted", time: 1_000 }),
  ]);
  const owner = await harness.own(partition!);
  await owner.apply(await readNew(harness.client, partition!, 10, 1));
  const admitted = await harness.client.keys("tm:{*}:*:c:*:k*");
  expect(admitted.map((name) => name.replace(/^.*:k/, ""))).toEqual(["/counted"]);
  expect(await harness.client.xlen(partition!.dead)).toBe(1);
});
