import { afterAll, beforeAll, expect, test } from "vitest";
import { Lookups } from "../../src/query/lookups.ts";
import { advanceMark, parseMarks } from "../../src/redis/commands/marks.ts";
import { marksField } from "../../src/redis/keys.ts";
import { beforeCommand } from "../support/before-command.ts";
import { describeOnDatabases } from "../support/databases.ts";
import { changing } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { ColdStage } from "./stage.ts";

/** Buckets leave Redis in the middle of lookups; and what keeps that right, taken away. */

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

/** From the second minute of all events on, so that minutes must be read, too. */
const SPAN = { from: Date.parse("2015-09-12T03:01:00Z"), to: Date.parse("2100-01-01T00:00:00Z") };

describeOnDatabases((startDatabase) => {
  test("a lookup that buckets leave under sees each of them once", { timeout: 300_000 }, async () => {
    const stage = await ColdStage.open(redis, startDatabase);
    const { harness } = stage;
    const counter = harness.counter("all");
    let sent = -1;
    for (let before = 1, happened = true; happened; before++) {
      await stage.playRound();
      sent += 7;
      happened = false;
      const move = async () => {
        happened = true;
        await stage.work().exportPartition(0);
        await stage.work().forgetPartition(0);
      };
      const client = beforeCommand(harness.client, before, move);
      const lookups = new Lookups({ ...harness.lookupsDependencies, client });
      const subject = { owner: "total" as const, shown: { key: null } };
      const { count } = await lookups.value({ counter, subject, span: SPAN });
      expect(count, `before read ${before}`).toBe(sent);
      const { top } = await lookups.top({ counter, span: SPAN, limit: 3, by: "count" });
      expect(top.reduce((sum, { count }) => sum + Number(count), 0)).toBe(sent);
    }
    await stage.close();
  });
});

const CORRECTIONS_WAIT = " or redis.call('XLEN', CORRECTIONS) > 0";

test.each([
  { what: "a bucket stays while a correction of it waits", removed: "", isRight: true },
  { what: "without that, the correction is missed", removed: CORRECTIONS_WAIT, isRight: false },
])("$what", { timeout: 120_000 }, async ({ removed, isRight }) => {
  const stage = await ColdStage.open(
    redis,
    async () => ({ url: undefined, stop: async () => {} }),
    changing({ script: "advance", from: removed, to: "" }),
  );
  const models = [await stage.playRound(), await stage.playRound()];
  await stage.exportWithoutCorrections();
  await stage.work().forgetPartition(0);
  const differences = await stage.differences(models);
  if (isRight) expect(differences).toEqual([]);
  else expect(differences.length).toBeGreaterThan(0);
  await stage.close();
});

test("a mark never moves back, and none overtakes the one before it", { timeout: 120_000 }, async () => {
  const stage = await ColdStage.open(redis, async () => ({ url: undefined, stop: async () => {} }));
  const { client, scripts } = stage.harness;
  const counter = stage.harness.counter("all");
  const target = [counter, counter.windows[0]!] as const;
  const move = (name: "exported" | "hot" | "gone", to: number) =>
    advanceMark(client, scripts, stage.partition, target, name, to);
  const marks = async () => parseMarks(await client.hget(stage.partition.cold, marksField(...target)));
  expect(await move("hot", 60_000)).toBe(false);
  expect(await move("exported", 120_000)).toBe(true);
  expect(await move("hot", 180_000)).toBe(false);
  expect(await move("hot", 120_000)).toBe(true);
  expect(await move("exported", 60_000)).toBe(true);
  expect(await move("hot", 60_000)).toBe(true);
  expect(await marks()).toEqual({ exported: 120_000, hot: 120_000, gone: 0 });
  await stage.close();
});
