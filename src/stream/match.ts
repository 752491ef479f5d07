import { type Counter, finestOf, isBeyondSums, keyOf, matchesWhere } from "../core/counter.ts";
import { toMicro } from "../core/decimal.ts";
import { readField, scalarText } from "../core/fields.ts";
import { type Poison, packEvent, packPayload, type ReceivedEvent } from "../core/packed.ts";
import { bucketStart } from "../core/window.ts";
import type { Definitions } from "../counters/definitions.ts";
import type { Layer } from "../redis/keys.ts";
import type { ReceivedEntry } from "./entries.ts";

/** A finest bucket of one counter in which a batch counts something. */
export interface MatchedBucket {
  readonly counter: Counter;
  /** `corrected`: for events that were late and are counted after all, beside buckets that may not change any more. */
  readonly layer: Layer;
  /** ms. */
  readonly start: number;
}

/** A key in such a bucket: what events have in common that count in the same cell. */
export interface MatchedKey {
  /** Its place among the batch's keys. */
  readonly index: number;
  readonly bucket: MatchedBucket;
  /** `null` when the counter has no `by` and only the total counts. */
  readonly text: string | null;
}

/** One event counted by one counter. */
export interface Hit {
  readonly key: MatchedKey;
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

export interface MatchedBatch {
  readonly entries: readonly MatchedEntry[];
  readonly keys: readonly MatchedKey[];
}

/** Finds what every event of the entries counts for, under one version of the definitions. */
export function matchEntries(batch: readonly ReceivedEntry[], definitions: Definitions): MatchedBatch {
  const keys = new Keys();
  const entries = batch.map((entry) => ({
    entry,
    events: entry.events.map((item) => ("fault" in item ? item : matchEvent(item, entry, definitions, keys))),
  }));
  return { entries, keys: keys.all };
}

function matchEvent(
  received: ReceivedEvent,
  { arrival, readmit }: ReceivedEntry,
  definitions: Definitions,
  keys: Keys,
): MatchedEvent | Poison {
  const counters = definitions.forType(received.type);
  // Before any key is made, which would take a place under `keysMax`.
  for (const counter of counters) {
    // Ingest refuses such events; a counter made since then can still meet one.
    if (isMeant(counter, readmit) && isBeyondSums(counter, received)) return beyondRange(counter, received);
  }
  const time = received.time ?? arrival;
  // Most events count for one counter, and an array that something is pushed to has room for seventeen at once.
  let hits: Hit[] | null = null;
  for (const counter of counters) {
    if (!isMeant(counter, readmit) || !matchesWhere(counter, received)) continue;
    const value = counter.sum && readField(received, counter.sum);
    const layer = readmit === null ? "base" : "corrected";
    const text = counter.by.length === 0 ? null : keyOf(counter, received);
    const hit: Hit = {
      key: keys.of(counter, layer, bucketStart(time, finestOf(counter).ms), text),
      micro: typeof value === "number" ? toMicro(value) : 0,
      member: (counter.unique && scalarText(readField(received, counter.unique))) ?? false,
    };
    if (hits) hits.push(hit);
    else hits = [hit];
  }
  return { received, time, hits: hits ?? [] };
}

/** Readmitted events are one counter's. */
function isMeant(counter: Counter, readmit: ReceivedEntry["readmit"]): boolean {
  return readmit === null || readmit === String(counter.generation);
}

function beyondRange(counter: Counter, received: ReceivedEvent): Poison {
  return {
    fault: `${counter.definition.sum}: beyond the range of sums`,
    payload: packPayload([packEvent(received, received)]),
  };
}

interface KeysOfBucket {
  readonly bucket: MatchedBucket;
  readonly byText: Map<string | null, MatchedKey>;
}

/** Keys of a batch. Each event's is looked for here alone: all that comes later goes by the key, and there are fewer. */
class Keys {
  readonly all: MatchedKey[] = [];
  readonly #buckets: Record<Layer, Map<Counter, Map<number, KeysOfBucket>>> = { base: new Map(), corrected: new Map() };

  of(counter: Counter, layer: Layer, start: number, text: string | null): MatchedKey {
    const { bucket, byText } = this.#bucket(counter, layer, start);
    let key = byText.get(text);
    if (!key) {
      key = { index: this.all.length, bucket, text };
      this.all.push(key);
      byText.set(text, key);
    }
    return key;
  }

  #bucket(counter: Counter, layer: Layer, start: number): KeysOfBucket {
    let buckets = this.#buckets[layer].get(counter);
    if (!buckets) {
      buckets = new Map();
      this.#buckets[layer].set(counter, buckets);
    }
    let found = buckets.get(start);
    if (!found) {
      found = { bucket: { counter, layer, start }, byText: new Map() };
      buckets.set(start, found);
    }
    return found;
  }
}
