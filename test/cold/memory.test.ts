import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, test, vi } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

/** What counters hold in Redis once old buckets have left it is what they would hold without those. */

const HOUR = 3_600_000;
const T = Date.parse("2015-09-12T00:00:00Z");
const COUNTER = {
  name: "c",
  event: "*",
  by: ["subject"],
  unique: "data.user",
  sum: "data.n",
  windows: ["1m", "1h"],
  lateness: "1m",
  keep: { "1m": "61m", "1h": "61m" },
};

/** An event every two seconds, 200 keys. */
function eventsOf(fromHour: number, toHour: number): object[] {
  return Array.from({ length: (toHour - fromHour) * 1_800 }, (_, i) => ({
    id: `${fromHour}.${i}`,
    type: "t",
    subject: `/${(i * 17) % 200}`,
    time: T + fromHour * HOUR + i * 2_000,
    data: { user: `u${i % 900}`, n: i / 4 },
  }));
}

async function send(app: TestApp, events: readonly object[]): Promise<void> {
  for (let i = 0; i < events.length; i += 900) {
    const { status, body } = await app.call("POST", "/v1/events?wait=applied", events.slice(i, i + 900));
    expect([status, body.late]).toEqual([200, 0]);
  }
}

/** Bytes and keys of everything that belongs to the counter. */
async function heldBy(redis: Redis): Promise<{ bytes: number; keys: number }> {
  const names = await redis.keys("tm:{0}:1:*");
  const sizes = await Promise.all(names.map((name) => redis.memory("USAGE", name)));
  return { bytes: sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0), keys: names.length };
}

test("memory returns to the level of the open buckets", { timeout: 300_000 }, async () => {
  const [long, short] = [await startTestApp([COUNTER]), await startTestApp([COUNTER])];
  const [redis, reference] = [long, short].map((app) => new Redis(join(app.dataDir, "redis", "redis.sock"))) as [
    Redis,
    Redis,
  ];
  // Whole hours before the last one or two are past their keep.
  await send(long, eventsOf(0, 10));
  const before = await heldBy(redis);
  await send(short, eventsOf(8, 10));
  const settled = async (client: Redis) => {
    // Minutes: 61 of keep, 1 of lateness, the open one; hours: the last two, of which one goes a moment later.
    const starts = (await client.zcard("tm:{0}:1:1o:s")) + (await client.zcard("tm:{0}:1:2s0:s"));
    const held = await heldBy(client);
    if (starts > 63 + 2) throw new Error(`${starts} buckets and ${held.keys} keys are still there`);
    return held;
  };
  const [after, expected] = await vi.waitFor(
    async () => {
      const both = [await settled(redis), await settled(reference)] as const;
      if (both[0].keys !== both[1].keys) throw new Error(`${both[0].keys} keys are there, and ${both[1].keys} without`);
      return both;
    },
    { timeout: 120_000, interval: 200 },
  );
  console.log(
    `held in Redis: ${before.bytes} bytes before, ${after.bytes} after, ${expected.bytes} without old buckets`,
  );
  expect(before.bytes).toBeGreaterThan(3 * after.bytes);
  expect(after.bytes).toBeLessThan(1.1 * expected.bytes);
  redis.disconnect();
  reference.disconnect();
  await long.stop();
  await short.stop();
});
