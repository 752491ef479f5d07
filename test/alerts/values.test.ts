import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { removeRule, replaceRule } from "../../src/alerts/edit.ts";
import { AlertLog } from "../../src/alerts/log.ts";
import type { AlertInput } from "../../src/alerts/rule.ts";
import { findRule } from "../../src/alerts/store.ts";
import { AlertValues, type RuleReading } from "../../src/alerts/values.ts";
import { AlertViews } from "../../src/alerts/view.ts";
import { encodeKey } from "../../src/core/key.ts";
import { ALERT_INSTANCES_MAX } from "../../src/core/limits.ts";
import { readLog } from "../../src/redis/commands/alerts.ts";
import { ALERTS } from "../../src/redis/keys.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { Stage, VIEWS } from "./stage.ts";

/** What rules read, on real counts. */

let redis: TestRedis;
let stage: Stage;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());
afterEach(() => stage.close());

async function read(partial: Partial<AlertInput>, instances: string[] = [], counter = "views"): Promise<RuleReading> {
  const rule = await stage.make({ counter, ...partial });
  const values = new AlertValues(stage.harness.lookupsDependencies);
  const [reading] = await values.read(stage.harness.counter(counter), [{ rule, instances }], Date.now());
  return reading!;
}
const only = async (partial: Partial<AlertInput>) => [...(await read(partial)).readings.values()][0];

test("count, sum and unique of a key and of the total", async () => {
  stage = await Stage.open(redis);
  await stage.count("/a", 10, { n: 1.5 });
  await stage.count("/b", 3, { n: -1 });
  expect(await only({ key: ["/a"] })).toBe(10);
  expect(await only({ key: null })).toBe(13);
  expect(await only({ key: ["/nobody"] })).toBe(0);
  expect(await only({ key: ["/a"], measure: "sum" })).toBe(15);
  expect(await only({ key: null, measure: "sum" })).toBe(12);
  expect(await only({ key: ["/a"], measure: "unique" })).toBe(7);
});

test("> takes the open bucket in, < and compare end with the last complete one", async () => {
  stage = await Stage.open(redis, { counters: [{ ...VIEWS, windows: ["1h"] }] });
  await stage.count("/a", 4, { msAgo: 3_600_000 });
  await stage.count("/a", 10);
  expect(await only({ op: ">", last: "1h" })).toBe(10);
  expect(await only({ op: ">=", last: "2h" })).toBe(14);
  expect(await only({ op: "<", last: "1h" })).toBe(4);
  expect(await only({ op: "<=", last: "2h" })).toBe(4);
  expect((await read({ op: "<", last: "1h" })).span!.to).toBeLessThanOrEqual(Date.now());
});

test("compare is the change in per cent, and no value against nothing", async () => {
  stage = await Stage.open(redis, { counters: [{ ...VIEWS, windows: ["1h"] }] });
  await stage.count("/a", 10, { msAgo: 2 * 3_600_000 });
  await stage.count("/a", 15, { msAgo: 3_600_000 });
  await stage.count("/new", 5, { msAgo: 3_600_000 });
  await stage.count("/a", 1);
  const compare = { compare: "previous", last: "1h" } as const;
  expect(await only({ ...compare, key: ["/a"] })).toBe(50);
  expect(await only({ ...compare, key: null })).toBe(100);
  expect(await only({ ...compare, key: ["/new"] })).toBe("none");
});

test("noData asks for the total, whatever the rule is on", async () => {
  stage = await Stage.open(redis, { counters: [{ ...VIEWS, windows: ["1s"] }] });
  await stage.count("/a", 1, { msAgo: 5_000 });
  await stage.count("/b", 1);
  expect(await only({ key: ["/a"], last: "1s", noData: "firing" })).toBe(0);
  expect(await only({ key: ["/a"], last: "1s", op: "<", noData: "firing" })).toBe("no data");
  expect(await only({ key: ["/a"], last: "1s", op: "<" })).toBe(0);
});

test("a counter without events, or whose clock is far behind wall time, leaves a rule stale", async () => {
  stage = await Stage.open(redis, { counters: [VIEWS, { ...VIEWS, name: "old", event: "nothing" }] });
  await stage.count("/a", 5);
  expect((await read({}, [], "old")).isStale).toBe(true);
  const rule = await stage.make({});
  const evaluator = stage.evaluator();
  await evaluator.tick();
  expect((await stage.history(rule)).length).toBe(1);
  stage.now += 15 * 60_000 + 5_000;
  const [shown] = await new AlertViews({
    ...stage.harness.lookupsDependencies,
    registry: stage.harness.registry,
    now: async () => stage.now,
  }).show([rule]);
  expect(shown).toMatchObject({ state: "stale", value: null, since: expect.any(String) });
  await evaluator.tick();
  await evaluator.tick();
  expect((await stage.history(rule)).length).toBe(1);
});

test.each([true, false])('"*" watches keys with events and those that are not inactive (top: %s)', async (top) => {
  stage = await Stage.open(redis, { counters: [{ ...VIEWS, top, windows: ["1s", "1m", "1h"] }] });
  await stage.count("/a", 5);
  await stage.count("/b", 2);
  const { readings, overflow } = await read({ key: "*" }, [`k${encodeKey(["/gone"])}`]);
  expect([Object.fromEntries(readings), overflow]).toEqual([{ "k/a": 5, "k/b": 2, "k/gone": 0 }, false]);
  const rule = await stage.make({ key: "*" });
  await stage.evaluator().tick();
  expect(await stage.history(rule)).toMatchObject([{ type: "firing", key: ["/a"], value: 5 }]);
});

test.each([true, false])(
  '"*" on more keys than a rule watches says so (top: %s)',
  async (top) => {
    stage = await Stage.open(redis, { counters: [{ ...VIEWS, top, windows: ["1h"] }] });
    await stage.countEach(Array.from({ length: ALERT_INSTANCES_MAX + 5 }, (_, i) => ({ subject: `/${i}` })));
    await stage.count("/0", 2);
    const { readings, overflow } = await read({ key: "*", last: "2h" });
    expect([readings.size, overflow]).toEqual([ALERT_INSTANCES_MAX, true]);
    if (top) expect(readings.get("k/0")).toBe(3);
  },
  60_000,
);

test("of more rules on one counter than are read together, each is evaluated once", async () => {
  stage = await Stage.open(redis);
  const rules = await Promise.all(Array.from({ length: 620 }, (_, i) => stage.make({ key: [`/${i % 31}`] })));
  for (let i = 0; i < 31; i += 2) await stage.count(`/${i}`, 5);
  const evaluator = stage.evaluator();
  await evaluator.tick();
  await evaluator.tick();
  const fired = new Set((await readLog(stage.client, null, 1_000)).map(({ event }) => JSON.parse(event).alert));
  expect(fired).toEqual(new Set(rules.filter((_, i) => (i % 31) % 2 === 0).map(({ id }) => id)));
  expect(await stage.client.xlen(ALERTS.log)).toBe(fired.size);
});

test("a changed threshold keeps what fires, another key ends it", async () => {
  stage = await Stage.open(redis);
  const rule = await stage.make({ key: ["/a"] });
  await stage.count("/a", 5);
  const evaluator = stage.evaluator();
  await evaluator.tick();
  const find = (name: string) => stage.harness.registry.current.find(name);
  const put = (partial: Partial<AlertInput>) =>
    replaceRule(stage.harness, rule.id, stage.parse(partial), find, stage.now);
  await put({ key: ["/a"], threshold: 3, name: "other", for: "1h" });
  await evaluator.tick();
  expect((await stage.history(rule)).map(({ type }) => type)).toEqual(["firing"]);
  await put({ key: ["/b"] });
  await evaluator.tick();
  const [firing, resolved] = await stage.history(rule);
  expect(resolved).toMatchObject({ type: "resolved", key: ["/a"], reason: "changed", firing: firing!.id, value: null });
  expect(await stage.history(rule)).toHaveLength(2);
});

test("the log goes on from where it was read, and lists how rules stand", async () => {
  stage = await Stage.open(redis);
  const log = new AlertLog({
    ...stage.harness.lookupsDependencies,
    registry: stage.harness.registry,
    now: async () => stage.now,
  });
  expect(await log.read(null, 10)).toEqual({ events: [], last: "0-0" });
  const rules = [await stage.make({ name: "one" }), await stage.make({ name: "two", measure: "sum" })];
  await stage.count("/a", 5);
  await stage.evaluator().tick();
  const first = await log.read("0-0", 1);
  const second = await log.read(first.last, 10);
  expect([...first.events, ...second.events].map(({ alert }) => alert).sort()).toEqual(
    rules.map(({ id }) => id).sort(),
  );
  expect(await log.read(second.last, 10)).toEqual({ events: [], last: second.last });
  expect((await log.read(null, 1)).events).toEqual(second.events);
  expect((await log.list()).map(({ state }) => state)).toEqual(["firing", "firing"]);
});

test("a deleted rule leaves no key behind, and what is left has an owner", async () => {
  stage = await Stage.open(redis);
  const rule = await stage.make({ key: "*" });
  await stage.count("/a", 5);
  await stage.evaluator().tick();
  const names = async () => (await stage.client.keys("tm:{alerts}:*")).sort();
  expect(await names()).toContain(`tm:{alerts}:r:${rule.id}:history`);
  await removeRule(stage.harness, rule.id);
  expect(await findRule(stage.client, rule.id)).toBeNull();
  // Of all rules: the log is held to a length, the rest is empty.
  expect(await names()).toEqual(["tm:{alerts}:log", "tm:{alerts}:rules"]);
});
