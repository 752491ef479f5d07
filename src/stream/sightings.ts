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
  /** How many entries must have been applied by then for this to hold. */
  readonly applied: string;
  readonly duplicates: ReadonlySet<MatchedEvent>;
  /** What is to be remembered. */
  readonly inserts: readonly Insert[];
  /** All that is remembered of the batch once it is applied. */
  readonly fingerprints: Fingerprints;
}

/** A batch that was sent, and how many entries have been applied before and after it. */
export interface Sent {
  readonly before: string;
  readonly after: string;
  readonly fingerprints: Fingerprints;
}

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

/** One answer to the questions of several batches → an answer for each. */
export function splitSeen(batches: readonly (readonly Sought[])[], { applied, found }: Seen): Seen[] {
  let before = 0;
  return batches.map((sought) => {
    const from = before;
    before += sought.reduce((sum, { events }) => sum + events.length, 0);
    const own = found.filter((position) => position >= from && position < before);
    return { applied, found: own.map((position) => position - from) };
  });
}

/**
 * Tells duplicates, of what came before or earlier in the batch, from first sightings. `sent`: the batch before, if it
 * was not yet applied when ids were looked up. `null` where more has happened since then.
 */
export function sight(sought: readonly Sought[], seen: Seen, sent: Sent | null): Sightings | null {
  if (sent && seen.applied !== sent.before && seen.applied !== sent.after) return null;
  const isUnseen = sent !== null && seen.applied !== sent.after;
  const known = new Set(seen.found);
  const fingerprints = new Fingerprints();
  const duplicates = new Set<MatchedEvent>();
  let position = 0;
  const inserts = sought.map(({ family, sets, events }) => {
    const fresh: string[] = [];
    for (const event of events) {
      const isFirst = fingerprints.add(event.received);
      const isKnown = known.has(position) || (isUnseen && sent.fingerprints.has(event.received));
      if (isFirst && !isKnown) fresh.push(event.received.fingerprint);
      else duplicates.add(event);
      position++;
    }
    return { family, set: sets[0] as string, fingerprints: fresh };
  });
  const fresh = inserts.filter((insert) => insert.fingerprints.length > 0);
  return { applied: sent?.after ?? seen.applied, duplicates, inserts: fresh, fingerprints };
}

/** Fingerprints of a batch. They are told apart by their spread, as far as it goes: hashing a text takes longer. */
export class Fingerprints {
  /** The first fingerprint of each spread, as an integer that V8 holds without allocating. */
  readonly #bySpread = new Map<number, string>();
  /** Those whose spread another one had before. */
  readonly #others = new Set<string>();

  has({ fingerprint, spread }: Identity): boolean {
    const first = this.#bySpread.get(spread | 0);
    return first !== undefined && (first === fingerprint || this.#others.has(fingerprint));
  }

  /** False if it is there already. */
  add({ fingerprint, spread }: Identity): boolean {
    const first = this.#bySpread.get(spread | 0);
    if (first === undefined) this.#bySpread.set(spread | 0, fingerprint);
    else if (first === fingerprint || this.#others.has(fingerprint)) return false;
    else this.#others.add(fingerprint);
    return true;
  }
}

/** Of a batch in which nothing is looked for. */
export const NO_SIGHTINGS: Sightings = {
  applied: "",
  duplicates: new Set(),
  inserts: [],
  fingerprints: new Fingerprints(),
};

const fingerprintOf = ({ received }: MatchedEvent): string => received.fingerprint;
