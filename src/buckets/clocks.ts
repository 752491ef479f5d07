import type { Counter } from "../core/counter.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseClock } from "../redis/commands/apply.ts";
import type { PartitionKeys } from "../redis/keys.ts";

/** Event time of one counter over all partitions, milliseconds. */
export interface CounterTime {
  /** The smallest clock: no partition is behind it. */
  readonly watermark: number;
  /** The largest clock: the newest event time, going on at wall speed while a live counter is idle. */
  readonly newestClock: number;
  /** Buckets that end here or earlier are closed in every partition. */
  readonly closed: number;
  readonly oldest: number;
  readonly newest: number;
}

/** `null` before the counter's first event. */
export async function readCounterTime(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counter: Counter,
): Promise<CounterTime | null> {
  const generation = String(counter.generation);
  const texts = await Promise.all(partitions.map(({ clocks }) => client.hget(clocks, generation)));
  const known = texts.filter((text) => text !== null).map(parseClock);
  if (known.length === 0) return null;
  return {
    watermark: Math.min(...known.map(({ clock }) => clock)),
    newestClock: Math.max(...known.map(({ clock }) => clock)),
    // A partition that has no clock yet would still take any event.
    closed:
      known.length < partitions.length ? Number.NEGATIVE_INFINITY : Math.min(...known.map(({ closed }) => closed)),
    oldest: Math.min(...known.map(({ oldest }) => oldest)),
    newest: Math.max(...known.map(({ newest }) => newest)),
  };
}
