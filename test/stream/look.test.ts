import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** Lookups that are planned on what an earlier one has seen of the counter, and asked for together with a new look. */

/** Whether the new look is compared with the earlier one. */
let isCompared = true;
vi.mock(import("../../src/buckets/state.ts"), async (importOriginal) => {
  const { areAlike, ...others } = await importOriginal();
  const changed: typeof areAlike = (...args) => !isCompared || areAlike(...args);
  return { ...others, areAlike: changed };
});

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => {
  isCompared = true;
  harness.close();
});

const T = Date.parse("2015-09-12T10:00:00Z");

/** What the last minute holds after each of the events, whose times are in minutes. */
async function lastMinutes(...minutes: number[]): Promise<unknown[]> {
  harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", windows: ["1m", "1h"], lateness: "1h" }],
  });
  const [partition] = harness.partitions;
  const owner = await harness.own(partition!);
  const found: unknown[] = [];
  for (const [i, minute] of minutes.entries()) {
    await harness.send([makeEvent({ id: `${i}`, time: T + minute * 60_000 })]);
    await owner.apply(await readNew(harness.client, partition!, 1, 1));
    const { from, count, watermark } = await harness.lookups.value({
      counter: harness.counter("all"),
      subject: { owner: "total", shown: { key: null } },
      span: { lastMs: 60_000 },
    });
    found.push([(Date.parse(from) - T) / 60_000, count, (Date.parse(watermark as string) - T) / 60_000]);
  }
  return found;
}

test("a lookup goes by the time that it finds, not by that which an earlier one found", async () => {
  const expected = [
    [0, 1, 0],
    [0, 2, 0.5],
    [7, 1, 7.25],
    [61, 1, 61],
  ];
  expect(await lastMinutes(0, 0.5, 7.25, 61)).toEqual(expected);
});

test("without comparing the two, its span would be outdated (the mutant)", async () => {
  isCompared = false;
  expect(await lastMinutes(0, 7.25)).not.toEqual([
    [0, 1, 0],
    [7, 1, 7.25],
  ]);
});

test("a counter that was looked at a moment ago is answered in one round trip", async () => {
  await lastMinutes(0);
  const { client } = harness;
  const evalsha = client.evalsha.bind(client);
  let turn = 0;
  const pipeline = client.pipeline.bind(client);
  const asked: [string, number][] = [];
  vi.spyOn(client, "pipeline").mockImplementation((...args) => {
    asked.push(["look", turn]);
    return pipeline(...args);
  });
  vi.spyOn(client, "evalsha").mockImplementation((...args: Parameters<typeof evalsha>) => {
    asked.push(["cells", turn]);
    return evalsha(...args);
  });
  const ticking = setInterval(() => turn++, 0);
  const counter = harness.counter("all");
  const subject = { owner: "total", shown: { key: null } } as const;
  await harness.lookups.value({ counter, subject, span: { lastMs: 60_000 } });
  clearInterval(ticking);
  vi.restoreAllMocks();
  expect(asked).toEqual([
    ["look", 0],
    ["cells", 0],
  ]);
});
