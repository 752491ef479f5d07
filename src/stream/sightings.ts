import type { Asked, Seen } from "../redis/commands/apply.ts";
import type { Dedupe, Slot } from "./dedupe.ts";
import { IdTable } from "./id-table.ts";
import type { KnownSlices } from "./known-slices.ts";
import type { MatchedEntry, MatchedEvent } from "./match.ts";

/** Events whose fingerprints belong to one dedupe set, in stream order. */
export interface Sought extends Slot {
  readonly events: readonly MatchedEvent[];
}

/** What was looked up of a batch, of whose events' ids not all is known without. */
export interface Looked extends Seen {
  /** Where was looked; positions go through the events of these. */
  readonly sought: readonly Sought[];
}

/** New fingerprints of one dedupe set. */
export interface Insert {
  readonly family: string;
  /** Whether all of its slice is known. */
  readonly isKnown: boolean;
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
  /** All ids that are remembered of the batch once it is applied, but for those of slices that are known. */
  readonly ids: IdTable;
}

/** A batch that was sent, and how many entries have been applied before and after it. */
export interface Sent {
  readonly before: string;
  readonly after: string;
  readonly inserts: readonly Insert[];
  readonly ids: IdTable;
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

/** What Redis must be asked about. */
export function unknownOf(sought: readonly Sought[], known: KnownSlices): Sought[] {
  return sought.filter(({ family }) => !known.of(family));
}

export function questionsOf(sought: readonly Sought[]): Asked {
  const families = new Set<string>();
  for (const { family, isSlice } of sought) if (isSlice) families.add(family);
  const fingerprintOf = ({ received }: MatchedEvent) => received.fingerprint;
  const questions = sought.map(({ sets, events }) => ({ sets, fingerprints: events.map(fingerprintOf) }));
  return { questions, families: [...families] };
}

/** One answer to the questions of several batches → what was looked up of each. */
export function splitSeen(batches: readonly (readonly Sought[])[], { applied, empty, found }: Seen): Looked[] {
  let before = 0;
  return batches.map((sought) => {
    const from = before;
    before += countOf(sought);
    const own = found.filter((position) => position >= from && position < before);
    return { sought, applied, empty, found: own.map((position) => position - from) };
  });
}

/** What is known of the ids of a batch besides what was looked up. */
export interface Known {
  /** The batch before; `null` where all that is applied is looked up. */
  readonly sent: Sent | null;
  readonly slices: KnownSlices;
}

/**
 * Tells duplicates, of what came before or earlier in the batch, from first sightings; `null` where neither what was looked up
 * nor what is known tells. Slices that are empty are known from then on. `arrival`: of the batch's last entry, ms.
 */
export function sight(
  sought: readonly Sought[],
  looked: Looked | null,
  known: Known,
  arrival: number,
): Sightings | null {
  const { sent, slices } = known;
  const applied = sent?.after ?? looked?.applied;
  if (applied === undefined) return null;
  // The batch before, where it came after the look. Otherwise the look must have seen all that is applied.
  const unseen = sent !== null && looked !== null && looked.applied !== applied ? sent : null;
  const look = looked?.applied === (unseen?.before ?? applied) ? looked : null;
  const positions = positionsOf(sought, look);
  if (!begin(sought, positions, look, { sent: unseen, slices })) return null;

  const found = new Set(look?.found);
  const ids = new IdTable(countOf(look?.sought ?? []));
  const duplicates = new Set<MatchedEvent>();
  const inserts: Insert[] = [];
  for (const [i, { family, sets, events }] of sought.entries()) {
    const slice = slices.of(family);
    let position = positions[i] as number;
    const fresh: string[] = [];
    for (const event of events) {
      const { received } = event;
      const isNew = slice
        ? slice.ids.add(received)
        : ids.add(received) && !found.has(position) && !unseen?.ids.has(received);
      if (isNew) fresh.push(received.fingerprint);
      else duplicates.add(event);
      position++;
    }
    if (fresh.length === 0) continue;
    if (slice) slice.last = Math.max(slice.last, arrival);
    inserts.push({ family, isKnown: slice !== undefined, set: sets[0] as string, fingerprints: fresh });
  }
  slices.trim();
  return { applied, duplicates, inserts, ids };
}

/** Where what was found of each begins to count; `undefined` where nothing was looked for. */
function positionsOf(sought: readonly Sought[], look: Looked | null): (number | undefined)[] {
  let [asked, position] = [0, 0];
  return sought.map((some) => {
    if (look?.sought[asked] !== some) return undefined;
    asked++;
    position += some.events.length;
    return position - some.events.length;
  });
}

/** Begins the slices that are empty, unless nothing is known of some ids: then it replies false. */
function begin(
  sought: readonly Sought[],
  positions: readonly (number | undefined)[],
  look: Looked | null,
  { sent: unseen, slices }: Known,
): boolean {
  const empty = new Set<string>();
  // Families that something was put into after the look, and whether they were known then.
  const since = new Map(unseen?.inserts.map(({ family, isKnown }) => [family, isKnown]));
  const isClear = sought.every(({ family }, i) => {
    if (slices.of(family)) return true;
    if (look?.empty.has(family) && !since.has(family)) empty.add(family);
    // One that was known then, and has been forgotten, has ids that are in no table.
    return positions[i] !== undefined && !since.get(family);
  });
  if (isClear) for (const family of empty) slices.begin(family);
  return isClear;
}

/** Of a batch in which nothing is looked for. */
export const NO_SIGHTINGS: Sightings = {
  applied: "",
  duplicates: new Set(),
  inserts: [],
  ids: new IdTable(0),
};

const countOf = (sought: readonly Sought[]): number => sought.reduce((sum, { events }) => sum + events.length, 0);
