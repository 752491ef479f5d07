import type { RedisClient } from "../redis/client.ts";
import { lookUp } from "../redis/commands/seen.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import type { Dedupe, Slot } from "./dedupe.ts";
import type { MatchedEntry, MatchedEvent } from "./match.ts";

/** New fingerprints of one dedupe set. */
export interface Insert {
  readonly family: string;
  readonly set: string;
  readonly fingerprints: string[];
}

/** Which events of a batch are first sightings. */
export interface Sightings {
  /** Entries applied when this was looked up: it holds while that number stands. */
  readonly applied: string;
  readonly duplicates: ReadonlySet<MatchedEvent>;
  /** What is to be remembered. */
  readonly inserts: readonly Insert[];
}

interface Sought extends Slot {
  readonly events: MatchedEvent[];
}

export interface SightingsDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partition: PartitionKeys;
  readonly dedupe: Dedupe;
}

/**
 * Tells duplicates from first sightings, in stream order. Events that were readmitted are neither: their ids are
 * remembered from the first time.
 */
export async function readSightings(
  { client, scripts, partition, dedupe }: SightingsDependencies,
  entries: readonly MatchedEntry[],
): Promise<Sightings> {
  const sought = new Map<string, Sought>();
  for (const { entry, events } of entries) {
    if (entry.readmit !== null) continue;
    for (const event of events) {
      if ("fault" in event) continue;
      const slot = dedupe.slotFor(event.received, entry.arrival);
      const name = slot.sets[0] as string;
      const known = sought.get(name);
      if (known) known.events.push(event);
      else sought.set(name, { ...slot, events: [event] });
    }
  }
  const questions = [...sought.values()].map(({ sets, events }) => ({ sets, fingerprints: events.map(fingerprintOf) }));
  const { applied, fingerprints } = await lookUp(client, scripts, partition, questions);
  const known = new Set(fingerprints);
  const duplicates = new Set<MatchedEvent>();
  const inserts = [...sought.values()].map(({ family, sets, events }) => {
    const insert: Insert = { family, set: sets[0] as string, fingerprints: [] };
    for (const event of events) {
      const fingerprint = fingerprintOf(event);
      if (known.has(fingerprint)) duplicates.add(event);
      else insert.fingerprints.push(fingerprint);
      known.add(fingerprint);
    }
    return insert;
  });
  return { applied, duplicates, inserts: inserts.filter(({ fingerprints }) => fingerprints.length > 0) };
}

const fingerprintOf = ({ received }: MatchedEvent): string => received.identity.fingerprint;
