import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CounterInput } from "../../src/core/counter.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { playHistory, type Step } from "./history.ts";

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const COUNTERS: CounterInput[] = [
  {
    name: "pages",
    event: "*",
    by: ["subject"],
    unique: "data.user",
    sum: "data.value",
    windows: ["10s", "1m", "1h"],
    lateness: "30s",
  },
  {
    name: "wide",
    event: ["view", "buy"],
    by: ["type", "data.user"],
    windows: ["1m", "5m", "1h"],
    lateness: "1d",
    where: { "data.bot": false },
  },
  { name: "all", event: "*", by: [], sum: "data.value", windows: ["10s", "1h"], lateness: "10s" },
];

const BASE = Date.parse("2015-09-12T10:00:00Z");
const ULIDS = ["01J0000000AAAAAAAAAAAAAAA1", "01J0000000AAAAAAAAAAAAAAA2", "01J00000ZZAAAAAAAAAAAAAAA3"];

const event = fc
  .record({
    id: fc.oneof(fc.integer({ min: 0, max: 25 }).map(String), fc.constantFrom(...ULIDS)),
    source: fc.constantFrom("", "shop"),
    type: fc.constantFrom("view", "buy", "other"),
    time: fc
      .oneof({ weight: 4, arbitrary: fc.integer({ min: 0, max: 200 }) }, fc.integer({ min: 3_590, max: 3_800 }))
      .map((s) => BASE + s * 1_000 + 1),
    subject: fc.constantFrom(null, "/", "é", "😀", "\uffee"),
    user: fc.constantFrom("a", "b", 7, true, undefined),
    value: fc.constantFrom(1, -2.5, 0.000001, 9e9, "no number", undefined),
    bot: fc.boolean(),
  })
  .map(({ user, value, bot, ...rest }) => makeEvent({ ...rest, data: { user, value, bot } }));

const partition = fc.integer({ min: 0, max: 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("send" as const), events: fc.array(event, { minLength: 1, maxLength: 6 }) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("read" as const), partition, count: fc.integer({ min: 1, max: 3 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("apply" as const), partition }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("redeliver" as const), partition }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), partition, sameToken: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wake" as const), partition }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("fold" as const),
      partition,
      at: fc.integer({ min: 0, max: 30 }),
      meanwhile: fc.constantFrom("apply" as const, "die" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("flush scripts" as const) }) },
);

test.each([1, 2])("random histories with %i partitions count what the model counts", async (partitions) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const harness = await Harness.create(redis, { partitions, counters: COUNTERS });
      try {
        expect(await playHistory(harness, steps)).toEqual([]);
      } finally {
        harness.close();
      }
    }),
    { numRuns: 60 },
  );
});
