import { setTimeout as delay } from "node:timers/promises";
import type { Counter } from "../core/counter.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseClock } from "../redis/commands/apply.ts";
import type { TickingCounter } from "../redis/commands/lease.ts";
import type { PartitionKeys } from "../redis/keys.ts";

/** How long partitions are looked at, ms: heartbeats wait for it, and a lease must not run out meanwhile. */
const VIEW_MAX_MS = 1_000;

interface PartitionView {
  readonly busy: boolean;
  /** Clocks by generation, ms. */
  readonly clocks: ReadonlyMap<string, number>;
}

/**
 * What idle historic clocks rise to: the smallest clock among busy partitions, so that one that gets no events does not
 * hold the watermark back. With no partition busy clocks stand still, but a missing one starts at the smallest. Both
 * are unknown as long as one partition cannot be looked at.
 */
export async function tickingCounters(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counters: readonly Counter[],
): Promise<TickingCounter[]> {
  const views = partitions.length > 1 ? await viewAll(client, partitions) : [];
  return counters.map((counter) => {
    const generation = String(counter.generation);
    const clocksOf = (some: readonly PartitionView[]) => some.flatMap(({ clocks }) => clocks.get(generation) ?? []);
    const busy = clocksOf(views.filter(({ busy }) => busy));
    const anyBusy = views.some(({ busy }) => busy);
    return {
      generation,
      lateness: counter.latenessMs,
      floor: smallest(busy),
      seed: anyBusy ? null : smallest(clocksOf(views)),
    };
  });
}

/** All partitions, or none if one does not answer in time. */
async function viewAll(client: RedisClient, partitions: readonly PartitionKeys[]): Promise<PartitionView[]> {
  const views = Promise.all(partitions.map((keys) => viewPartition(client, keys)));
  return Promise.race([views.catch(() => []), delay(VIEW_MAX_MS, [], { ref: false })]);
}

async function viewPartition(client: RedisClient, keys: PartitionKeys): Promise<PartitionView> {
  const [entries, kept, texts] = await Promise.all([
    client.xlen(keys.stream),
    client.scard(keys.kept),
    client.hgetall(keys.clocks),
  ]);
  const clocks = new Map(Object.entries(texts).map(([generation, text]) => [generation, parseClock(text).clock]));
  return { busy: entries > kept, clocks };
}

function smallest(values: readonly number[]): number | null {
  return values.length > 0 ? values.reduce((a, b) => Math.min(a, b)) : null;
}
