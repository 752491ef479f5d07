import { type Counter, finestOf, keyOf, matchesWhere, sumInRange } from "../core/counter.ts";
import { toMicro } from "../core/decimal.ts";
import { readField, scalarText } from "../core/fields.ts";
import { type Poison, packEvent, packPayload, type ReceivedEvent } from "../core/packed.ts";
import { bucketStart } from "../core/window.ts";
import type { Definitions } from "../counters/definitions.ts";
import type { Layer } from "../redis/keys.ts";
import type { ReceivedEntry } from "./entries.ts";

/** One event counted by one counter. */
export interface Hit {
  readonly counter: Counter;
  /** `corrected`: the event was late and is counted after all, beside buckets that may not change any more. */
  readonly layer: Layer;
  /** Start of the finest bucket, ms. */
  readonly bucket: number;
  /** Key text; `null` when the counter has no `by` and only the total counts. */
  readonly key: string | null;
  readonly micro: number;
  readonly member: string | false;
}

/** An event with its time resolved and what it counts for. */
export interface MatchedEvent {
  readonly received: ReceivedEvent;
  readonly time: number;
  readonly hits: readonly Hit[];
}

export interface MatchedEntry {
  readonly entry: ReceivedEntry;
  readonly events: readonly (MatchedEvent | Poison)[];
}

/** Finds what every event of the entries counts for, under one version of the definitions. */
export function matchEntries(entries: readonly ReceivedEntry[], definitions: Definitions): MatchedEntry[] {
  return entries.map((entry) => ({
    entry,
    events: entry.events.map((item) => ("fault" in item ? item : matchEvent(item, entry, definitions))),
  }));
}

function matchEvent(
  received: ReceivedEvent,
  { arrival, readmit }: ReceivedEntry,
  definitions: Definitions,
): MatchedEvent | Poison {
  const time = received.time ?? arrival;
  const hits: Hit[] = [];
  for (const counter of definitions.forType(received.type)) {
    if (readmit !== null && readmit !== String(counter.generation)) continue;
    if (!matchesWhere(counter, received)) continue;
    if (!sumInRange(counter, received)) {
      // Ingest refuses such events; a counter made since then can still meet one.
      return {
        fault: `${counter.definition.sum}: beyond the range of sums`,
        payload: packPayload([packEvent(received, received)]),
      };
    }
    const value = counter.sum && readField(received, counter.sum);
    hits.push({
      counter,
      layer: readmit === null ? "base" : "corrected",
      bucket: bucketStart(time, finestOf(counter).ms),
      key: counter.by.length === 0 ? null : keyOf(counter, received),
      micro: typeof value === "number" ? toMicro(value) : 0,
      member: (counter.unique && scalarText(readField(received, counter.unique))) ?? false,
    });
  }
  return { received, time, hits };
}
