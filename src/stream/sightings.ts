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
    before += countOf(sought);
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
  const fingerprints = new Fingerprints(countOf(sought));
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

/**
 * Fingerprints of a batch: a table with open addressing, in which the spread says where to look first. A `Set` would hash each
 * text and grow a dozen times.
 */
export class Fingerprints {
  readonly #all: string[] = [];
  /** Positions in it, from 1; 0 where nothing is. At most half of them are taken, so that a free one is near. */
  readonly #slots: Int32Array;

  /** @param max how many may be added */
  constructor(max: number) {
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * Math.max(1, max))));
  }

  has(identity: Identity): boolean {
    return this.#slots[this.#slotOf(identity)] !== 0;
  }

  /** False if it is there already. */
  add(identity: Identity): boolean {
    const slot = this.#slotOf(identity);
    if (this.#slots[slot] !== 0) return false;
    this.#slots[slot] = this.#all.push(identity.fingerprint);
    return true;
  }

  /** Where it is or would be. */
  #slotOf({ fingerprint, spread }: Identity): number {
    const mask = this.#slots.length - 1;
    for (let slot = spread & mask; ; slot = (slot + 1) & mask) {
      const position = this.#slots[slot] as number;
      if (position === 0 || this.#all[position - 1] === fingerprint) return slot;
    }
  }
}

/** Of a batch in which nothing is looked for. */
export const NO_SIGHTINGS: Sightings = {
  applied: "",
  duplicates: new Set(),
  inserts: [],
  fingerprints: new Fingerprints(0),
};

const countOf = (sought: readonly Sought[]): number => sought.reduce((sum, { events }) => sum + events.length, 0);
const fingerprintOf = ({ received }: MatchedEvent): string => received.fingerprint;
