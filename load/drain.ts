import { randomUUID } from "node:crypto";
import type { CounterDefinition } from "../src/core/counter.ts";
import { parseCounter } from "../src/core/counter-parse.ts";
import { type Event, validateEvent } from "../src/core/event.ts";
import { identify } from "../src/core/identity.ts";
import { BATCH_EVENTS_MAX } from "../src/core/limits.ts";
import { CounterRegistry } from "../src/counters/registry.ts";
import { Producer } from "../src/ingest/producer.ts";
import { createLogger } from "../src/log.ts";
import type { Connections, RedisClient } from "../src/redis/client.ts";
import { acquireLease } from "../src/redis/commands/lease.ts";
import type { PartitionKeys } from "../src/redis/keys.ts";
import { Scripts } from "../src/redis/scripts.ts";
import { readNew } from "../src/stream/entries.ts";
import { StreamMetrics } from "../src/stream/metrics.ts";
import { type OwnerDependencies, PartitionOwner } from "../src/stream/owner.ts";

/** Events in an entry, as a request of so many makes it. */
const ENTRY_EVENTS = 500;
/** Entries of one read: one full batch. */
const READ_ENTRIES = BATCH_EVENTS_MAX / ENTRY_EVENTS;
const BLOCK_MS = 5_000;
const DEDUPE_HORIZON_MS = 3_600_000;

/** Events by their number, as JSON. */
export interface Texts {
  readonly events: number;
  text(event: number): string;
}

/** Puts events onto the stream of one partition, as the service would, whatever partition their ids belong to. */
export async function fill(client: RedisClient, partition: PartitionKeys, { events, text }: Texts): Promise<void> {
  const producer = new Producer(client, null);
  for (let from = 0; from < events; from += ENTRY_EVENTS) {
    const identified = Array.from({ length: Math.min(ENTRY_EVENTS, events - from) }, (_, i) => {
      const event = validateEvent(JSON.parse(text(from + i)), Date.now(), randomUUID) as Event;
      return { event, identity: identify("secret", event.source, event.id) };
    });
    await producer.enqueue([{ partition, events: identified }], [null]);
  }
}

/**
 * Counts all that waits on the streams, in full batches, in this process: as workers do that have fallen behind. One batch
 * at a time, in turns: with more partitions no more runs at the same moment, which would cost each of them CPU time where
 * cores and caches are shared.
 */
export async function drain(
  connections: Connections,
  partitions: readonly PartitionKeys[],
  definition: object,
): Promise<void> {
  const [client, blocking] = [await connections.open("prompt"), await connections.open("blocking")];
  const subscriber = await connections.open("subscriber");
  const scripts = new Scripts();
  const registry = await CounterRegistry.open({ client, subscriber, scripts, partitions, onError: () => {} });
  await registry.put(parseCounter(definition) as CounterDefinition);
  const deps = { client, blocking, scripts, registry, dedupeHorizonMs: DEDUPE_HORIZON_MS };
  const quiet = { metrics: new StreamMetrics(), log: createLogger("silent") };
  let lanes = partitions.map((partition) => applyInBatches({ ...deps, ...quiet, partition, token: randomUUID() }));
  while (lanes.length > 0) {
    const going: typeof lanes = [];
    for (const lane of lanes) if (!(await lane.next()).done) going.push(lane);
    lanes = going;
  }
  registry.close();
  for (const connection of [client, blocking, subscriber]) connections.close(connection);
}

async function* applyInBatches(deps: OwnerDependencies): AsyncGenerator<void> {
  const { client, blocking, scripts, partition, token } = deps;
  await acquireLease(client, scripts, partition, token);
  await client.persist(partition.lease); // nobody ticks here
  const owner = await PartitionOwner.takeOver(deps);
  // Counted, so that nobody waits in the end for what does not come.
  let waiting = await client.xlen(partition.stream);
  while (waiting > 0) {
    const entries = await readNew(blocking, partition, READ_ENTRIES, BLOCK_MS);
    if (entries.length === 0) throw new Error(`${waiting} entries were not delivered in time`);
    await owner.apply(entries);
    waiting -= entries.length;
    yield;
  }
}
