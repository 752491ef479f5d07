import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { GROUP, type PartitionKeys } from "../../src/redis/keys.ts";

const LOOK_MS = 250;
/** Looks in a row that must find everything done: a write that was given up may still have been on its way. */
const LOOKS = 5;

/** Until nothing waits and nothing is pending, or nothing has moved for `stallMs`; what is left is for the invariants. */
export async function drain(
  redis: Redis,
  partitions: readonly PartitionKeys[],
  hasJobs: boolean,
  stallMs: number,
): Promise<void> {
  let [before, movedAt, quiet] = ["", performance.now(), 0];
  while (quiet < LOOKS && performance.now() - movedAt < stallMs) {
    const states = await Promise.all(partitions.map((partition) => stateOf(redis, partition)));
    const now = JSON.stringify(states);
    if (now !== before) movedAt = performance.now();
    before = now;
    const isDone = states.every(
      ({ waiting, pending, correcting }) => waiting + pending + (hasJobs ? correcting : 0) === 0,
    );
    quiet = isDone ? quiet + 1 : 0;
    await delay(LOOK_MS);
  }
}

async function stateOf(redis: Redis, { stream, state, corrections }: PartitionKeys) {
  const waiting = await redis.xlen(stream);
  const applied = await redis.hget(state, "applied");
  // Without a group nobody has read anything yet.
  const [pending] = ((await redis.xpending(stream, GROUP).catch(() => [0])) as [number]) ?? [0];
  // Events that were readmitted into buckets that have left Redis are seen once their corrections are exported.
  const correcting = await redis.xlen(corrections);
  return { waiting, applied, pending, correcting };
}
