import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KnownSlices } from "../../src/stream/known-slices.ts";
import type { MatchedEvent } from "../../src/stream/match.ts";
import { type Looked, type Sent, type Sightings, type Sought, sight, splitSeen } from "../../src/stream/sightings.ts";

/**
 * Few different fingerprints, so that many repeat and many share a spread, in two batches of two lists. A fingerprint and its spread come
 * from one hash: equal ones have equal spreads.
 */
const list = fc.array(fc.integer({ min: 0, max: 6 }));
const spreads = fc.array(fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1), { minLength: 7, maxLength: 7 });
const batches = fc
  .tuple(fc.array(fc.array(list, { maxLength: 2 }), { minLength: 2, maxLength: 2 }), spreads)
  .map(([two, spread]) =>
    two.map((lists) => lists.map((numbers) => numbers.map((n) => ({ fingerprint: `${n}`, spread: spread[n] })))),
  );

function matched(received: object): MatchedEvent {
  return { received, time: 0, hits: [] } as unknown as MatchedEvent;
}

const flatten = (inserts: readonly { fingerprints: readonly string[] }[]) =>
  inserts.flatMap(({ fingerprints }) => fingerprints);

/** What `sight` must say. */
function expected(lists: readonly MatchedEvent[][], found: readonly number[], before: readonly string[]) {
  const known = new Set(before);
  const all = lists.flat();
  const duplicates = all.filter(({ received: { fingerprint } }, position) => {
    const isNew = !known.has(fingerprint) && !found.includes(position);
    known.add(fingerprint);
    return !isNew;
  });
  const fresh = all.filter((event) => !duplicates.includes(event)).map(({ received }) => received.fingerprint);
  return { duplicates, fresh, known: [...known] };
}

/** All that is sought was looked up before anything was applied. */
const lookedUp = (sought: readonly Sought[], found: readonly number[], empty: readonly string[] = []): Looked => {
  return { sought, applied: "0", empty: new Set(empty), found };
};

const soughtFor = (lists: readonly MatchedEvent[][], isSlice = false): Sought[] =>
  lists.map((events, i) => ({ family: isSlice ? `s${i}` : "g", isSlice, sets: [`set ${i}`], events }));

test("an event is new unless its fingerprint is remembered, or came earlier in the batch or in the one before", () => {
  fc.assert(
    fc.property(batches, fc.func(fc.boolean()), (two, isFound) => {
      let [before, sent]: [string[], Sent | null] = [[], null];
      for (const lists of two.map((one) => one.map((list) => list.map(matched)))) {
        const found = lists.flat().flatMap((event, position) => (isFound(event, position) ? [position] : []));
        const sought = soughtFor(lists);
        const known = { sent, slices: new KnownSlices() };
        const sightings = sight(sought, lookedUp(sought, found), known, 0) as Sightings;
        const { duplicates, fresh, known: after } = expected(lists, found, before);
        expect([...sightings.duplicates]).toEqual(duplicates);
        expect(flatten(sightings.inserts)).toEqual(fresh);
        expect(sightings.inserts.every(({ fingerprints }) => fingerprints.length > 0)).toBe(true);
        expect(sightings.applied).toBe(sent ? "7" : "0");
        [before, sent] = [after, { ...sightings, before: "0", after: "7" }];
      }
    }),
  );
});

describe("what was looked up", () => {
  const event = matched({ fingerprint: "1", spread: 0 });
  const sought = soughtFor([[event]]);
  const nothing = { sent: null, slices: new KnownSlices() };
  const first = sight(sought, { ...lookedUp(sought, []), applied: "3" }, nothing, 0) as Sightings;
  const sent = { ...first, before: "3", after: "4" };
  const look = (applied: string) => {
    return sight(sought, { ...lookedUp(sought, []), applied }, { sent, slices: new KnownSlices() }, 0);
  };

  test("before the last batch is known together with it", () => {
    expect(look("3")).toMatchObject({ applied: "4", duplicates: new Set([event]), inserts: [] });
  });

  test("after it says by itself what is known", () => {
    expect(look("4")).toMatchObject({ applied: "4", duplicates: new Set(), inserts: [{ fingerprints: ["1"] }] });
  });

  test("at any other time says nothing", () => {
    expect([look("2"), look("5")]).toEqual([null, null]);
  });
});

describe("slices", () => {
  const event = (n: number) => matched({ fingerprint: `${n}`, spread: n });
  const one = (
    slices: KnownSlices,
    events: MatchedEvent[],
    looked: "empty" | "not" | null,
    sent: Sent | null = null,
  ) => {
    const sought = soughtFor([events], true);
    const look = looked && lookedUp(sought, [], looked === "empty" ? ["s0"] : []);
    return sight(sought, look, { sent, slices }, 0);
  };
  const sentOf = (sightings: Sightings | null): Sent => ({ ...(sightings as Sightings), before: "0", after: "1" });

  test("that were empty are known from then on, and nobody need look", () => {
    const slices = new KnownSlices();
    const first = one(slices, [event(1), event(2), event(1)], "empty");
    expect(first?.inserts).toEqual([{ family: "s0", isKnown: true, set: "set 0", fingerprints: ["1", "2"] }]);
    const second = one(slices, [event(2), event(3)], null, sentOf(first));
    expect(second).toMatchObject({ applied: "1", inserts: [{ fingerprints: ["3"] }] });
    expect(second?.duplicates.size).toBe(1);
  });

  test("that were not empty are not", () => {
    const slices = new KnownSlices();
    const first = one(slices, [event(1)], "not");
    expect([first?.inserts.length, slices.of("s0")]).toEqual([1, undefined]);
    expect(one(slices, [event(1)], null, sentOf(first))).toBeNull();
  });

  test("that were empty before the last batch put something in are not", () => {
    const slices = new KnownSlices();
    const first = one(slices, [event(1)], "not");
    const second = one(slices, [event(1), event(2)], "empty", sentOf(first));
    expect([second?.inserts[0]?.fingerprints, slices.of("s0")]).toEqual([["2"], undefined]);
  });

  test("that were known to the last batch, and are not any more, must be looked up behind it", () => {
    const slices = new KnownSlices();
    const first = one(slices, [event(1)], "empty");
    slices.clear();
    expect(one(slices, [event(1)], "not", sentOf(first))).toBeNull();
    expect(one(slices, [event(1)], "empty", sentOf(first))).toBeNull();
  });

  test("of which one is not known and was not looked up tell nothing, and keep nothing", () => {
    const slices = new KnownSlices();
    const first = one(slices, [event(1)], "empty");
    const sought = soughtFor([[event(2)], [event(3)]], true);
    expect(sight(sought, null, { sent: sentOf(first), slices }, 0)).toBeNull();
    expect(slices.of("s0")?.ids.size).toBe(1);
  });

  test("that were empty are not known where another was not looked up: that look will see more", () => {
    const slices = new KnownSlices();
    const sought = soughtFor([[event(1)], [event(2)]], true);
    const half = lookedUp(sought.slice(0, 1), [], ["s0"]);
    expect(sight(sought, half, { sent: null, slices }, 0)).toBeNull();
    expect(slices.of("s0")).toBeUndefined();
  });
});

test("an answer to several batches is an answer to each", () => {
  const sought = (...counts: number[]) => soughtFor(counts.map((n) => Array.from({ length: n }, () => matched({}))));
  const batches = [sought(2, 1), sought(), sought(3)];
  const empty = new Set(["s"]);
  expect(splitSeen(batches, { applied: "1", empty, found: [0, 2, 3, 5] })).toEqual([
    { sought: batches[0], applied: "1", empty, found: [0, 2] },
    { sought: batches[1], applied: "1", empty, found: [] },
    { sought: batches[2], applied: "1", empty, found: [0, 2] },
  ]);
});
