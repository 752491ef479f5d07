import type { Identity } from "../core/identity.ts";
import type { Question, Seen } from "../redis/commands/apply.ts";
import type { Dedupe, Slot } from "./dedupe.ts";
import type { MatchedEntry, MatchedEvent } from "./match.ts";

/** Events whose fingerprints belong to one dedupe set, in stream order. */
export interface Sought extends Slot {
  readonly events: readonly MatchedEvent[];
}

/** New fingerprints of one dedupe set. */
export interface Insert {
  readonly family: string;
  readonly set: string;
  readonly fingerprints: readonly string[];
}

/** Which events of a batch are first sightings. */
export interface Sightings {
  /** Entries applied when this was looked up: it holds while that number stands. */
  readonly applied: string;
  readonly duplicates: ReadonlySet<MatchedEvent>;
  /** What is to be remembered. */
  readonly inserts: readonly Insert[];
}

/** Of a batch in which nothing is looked for. */
export const NO_SIGHTINGS: Sightings = { applied: "", duplicates: new Set(), inserts: [] };

/** Where to look for the events' ids. Those of readmitted events are not looked up: they are there from the first time. */
export function seek(entries: readonly MatchedEntry[], dedupe: Dedupe): Sought[] {
  const sought = new Map<string, Slot & { readonly events: MatchedEvent[] }>();
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
  return [...sought.values()];
}

export function questionsOf(sought: readonly Sought[]): Question[] {
  return sought.map(({ sets, events }) => ({ sets, fingerprints: events.map(fingerprintOf) }));
}

/** Tells duplicates, of what came before or earlier in the batch, from first sightings. */
export function sight(sought: readonly Sought[], { applied, found }: Seen): Sightings {
  const known = new Set(found);
  const batch = new Fingerprints();
  const duplicates = new Set<MatchedEvent>();
  let position = 0;
  const inserts = sought.map(({ family, sets, events }) => {
    const fresh: string[] = [];
    for (const event of events) {
      if (batch.add(event.received) && !known.has(position)) fresh.push(event.received.fingerprint);
      else duplicates.add(event);
      position++;
    }
    return { family, set: sets[0] as string, fingerprints: fresh };
  });
  return { applied, duplicates, inserts: inserts.filter((insert) => insert.fingerprints.length > 0) };
}

/** Fingerprints of a batch. They are told apart by their spread, as far as it goes: hashing a text takes longer. */
class Fingerprints {
  /** The first fingerprint of each spread, as an integer that V8 holds without allocating. */
  readonly #bySpread = new Map<number, string>();
  /** Those whose spread another one had before. */
  readonly #others = new Set<string>();

  /** False if it is there already. */
  add({ fingerprint, spread }: Identity): boolean {
    const first = this.#bySpread.get(spread | 0);
    if (first === undefined) this.#bySpread.set(spread | 0, fingerprint);
    else if (first === fingerprint || this.#others.has(fingerprint)) return false;
    else this.#others.add(fingerprint);
    return true;
  }
}

const fingerprintOf = ({ received }: MatchedEvent): string => received.fingerprint;
