import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Problem } from "../../src/core/problem.ts";
import { Gate } from "../../src/ingest/gate.ts";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let harness: Harness;
const MEGABYTE = 1024 * 1024;

beforeAll(async () => {
  redis = await startTestRedis(["--maxmemory", "40mb"]);
});
afterAll(() => redis.stop());
beforeEach(async () => {
  harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
  });
  return () => harness.close();
});

const limitMemory = (bytes: number) => harness.client.config("SET", "maxmemory", bytes);

test("events are refused at 75 % of maxmemory, and taken again below", async () => {
  const gate = await Gate.open(harness.client, harness.partitions, () => {});
  expect(gate.reason).toBeNull();
  const ballast: string[] = [];
  while (gate.reason === null) {
    ballast.push(`ballast${ballast.length}`);
    await harness.client.set(ballast.at(-1)!, Buffer.alloc(MEGABYTE / 4));
    await gate.look();
  }
  expect(gate.reason).toContain("75 % of its maxmemory");
  expect(() => gate.pass()).toThrow(Problem);
  await harness.client.del(...ballast);
  await expect.poll(() => gate.reason).toBeNull();
  gate.close();
});

test("what waits is applied even when Redis is full", async () => {
  const partition = harness.partitions[0]!;
  const owner = await harness.own(partition);
  await harness.send(Array.from({ length: 500 }, (_, i) => makeEvent({ id: `e${i}`, time: 1_000_000 })));
  await limitMemory(MEGABYTE);
  await expect(harness.send([makeEvent({ id: "refused" })])).rejects.toMatchObject({ code: "unavailable" });
  await owner.apply(await readNew(harness.client, partition, 10, 1));
  expect(await harness.client.xlen(partition.stream)).toBe(0);
  const subject = { owner: "total", shown: { key: null } } as const;
  const { count } = await harness.lookups.value({
    counter: harness.counter("all"),
    subject,
    span: { from: 0, to: 4_000_000 },
  });
  expect(count).toBe(500);
  await limitMemory(40 * MEGABYTE);
});
