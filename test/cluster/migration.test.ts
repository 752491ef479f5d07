import { afterAll, beforeAll, expect, test } from "vitest";
import { Connections, parseRedisUrl, type RedisClient } from "../../src/redis/client.ts";
import { META, partitionKeys } from "../../src/redis/keys.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { expectCounted, judge, type Verdict } from "./lookups.ts";
import { errorsOf, SlotMove } from "./migrate.ts";
import { Sender } from "./sender.ts";
import { COUNTERS, CYCLE, eventsOf, hour } from "./traffic.ts";

/** A slot that holds a partition moves to another primary while events and lookups keep coming. */

const PARTITIONS = 4;
const PARTITION_KEYS = partitionKeys(PARTITIONS);
const PORTIONS = 12;
/** Half a cycle: with as many portions as this they make up whole cycles. */
const BATCH = CYCLE / 2;
const WITHIN = { timeout: 60_000, interval: 100 };

let cluster: TestCluster;
let app: TestApp;
let connections: Connections;
let client: RedisClient;

beforeAll(async () => {
  cluster = await startTestCluster(3, 0);
  app = await startTestApp(COUNTERS, { REDIS_URL: cluster.url, TALLYMARK_PARTITIONS: String(PARTITIONS) });
  connections = new Connections(parseRedisUrl(cluster.url), () => {});
  client = await connections.open("prompt");
});
afterAll(async () => {
  connections?.closeAll();
  await app?.stop();
  await cluster?.stop();
});

const ORDERS = [
  { order: "stream first", moved: 0, sorted: (keys: string[], stream: string) => [stream, ...without(keys, stream)] },
  { order: "stream last", moved: 1, sorted: (keys: string[], stream: string) => [...without(keys, stream), stream] },
];

test.each(ORDERS)(
  "a slot moves under load, $order: its partition pauses, the others go on, and every event counts once",
  { timeout: 300_000 },
  async ({ moved, sorted }) => {
    const [before, during] = [hour(2 * moved), hour(2 * moved + 1)];
    const sender = new Sender(app.url);
    for (let i = 0; i < 4 * CYCLE; i += CYCLE) await sender.deliver(eventsOf(before, i, CYCLE));
    await expectCounted(app.url, before, 4 * CYCLE);

    const { stream } = PARTITION_KEYS[moved]!;
    const move = await SlotMove.begin(cluster, stream);
    const portions = inPortions(sorted(await move.left(), stream));
    const refused: object[][] = [];
    const verdicts = new Set<Verdict>();
    for (const [i, keys] of portions.entries()) {
      await move.carry(keys);
      const events = eventsOf(during, i * BATCH, BATCH);
      if (!(await sender.offer(events))) refused.push(events);
      for (const verdict of await judge(app.url, before, 4 * CYCLE)) verdicts.add(verdict);
      if (i === PORTIONS / 2) await expectOnlyPaused(move, moved);
    }
    await move.finish();
    for (const events of refused) await sender.deliver(events);

    await expectCounted(app.url, during, PORTIONS * BATCH);
    await expectCounted(app.url, before, 4 * CYCLE);
    expect([202, 503]).toEqual(expect.arrayContaining([...sender.answers.keys()]));
    expect(["right", 503]).toEqual(expect.arrayContaining([...verdicts]));
    expect((await app.call("GET", "/readyz")).body).toMatchObject({ status: "ok" });
  },
);

test("the definitions' slot moves: changing them waits for it, and counting goes on", {
  timeout: 120_000,
}, async () => {
  const counter = { ...COUNTERS[1], name: undefined };
  const put = async () => (await app.call("PUT", "/v1/counters/later", counter)).status;
  const sender = new Sender(app.url);
  const move = await SlotMove.begin(cluster, META.counters);
  await move.carry([META.counters]);
  expect(await put()).toBe(503);
  await sender.deliver(eventsOf(hour(20), 0, CYCLE));
  await expectCounted(app.url, hour(20), CYCLE);
  await move.finish();
  await expect.poll(put, WITHIN).toBe(201);
});

const without = (keys: readonly string[], stream: string) => keys.filter((key) => key !== stream);

function inPortions(keys: readonly string[]): string[][] {
  const at = (portion: number) => Math.floor((portion * keys.length) / PORTIONS);
  return Array.from({ length: PORTIONS }, (_, i) => keys.slice(at(i), at(i + 1)));
}

/** The other partitions apply all they have, while this one has asked in vain and still holds what came. */
async function expectOnlyPaused({ source }: SlotMove, moved: number): Promise<void> {
  const waiting = () => Promise.all(PARTITION_KEYS.map(({ stream }) => client.xlen(stream)));
  const isPaused = async () => {
    const lengths = await waiting();
    return lengths.map((length, p) => (p === moved ? length > 0 : length === 0));
  };
  await expect.poll(isPaused, WITHIN).toEqual([true, true, true, true]);
  const refusals = await errorsOf(source, "TRYAGAIN");
  await expect.poll(() => errorsOf(source, "TRYAGAIN"), WITHIN).toBeGreaterThan(refusals);
  expect(await isPaused()).toEqual([true, true, true, true]);
}
