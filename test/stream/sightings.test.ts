import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MatchedEvent } from "../../src/stream/match.ts";
import { type Sent, type Sightings, sight, splitSeen } from "../../src/stream/sightings.ts";

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

test("an event is new unless its fingerprint is remembered, or came earlier in the batch or in the one before", () => {
  fc.assert(
    fc.property(batches, fc.func(fc.boolean()), (two, isFound) => {
      let [before, sent]: [string[], Sent | null] = [[], null];
      for (const lists of two.map((one) => one.map((list) => list.map(matched)))) {
        const found = lists.flat().flatMap((event, position) => (isFound(event, position) ? [position] : []));
        const sought = lists.map((events, i) => ({ family: "f", sets: [`set ${i}`], events }));
        const sightings = sight(sought, { applied: "0", found }, sent) as Sightings;
        const { duplicates, fresh, known } = expected(lists, found, before);
        expect([...sightings.duplicates]).toEqual(duplicates);
        expect(flatten(sightings.inserts)).toEqual(fresh);
        expect(sightings.inserts.every(({ fingerprints }) => fingerprints.length > 0)).toBe(true);
        expect(sightings.applied).toBe(sent ? "7" : "0");
        [before, sent] = [known, { before: "0", after: "7", fingerprints: sightings.fingerprints }];
      }
    }),
  );
});

describe("what was looked up", () => {
  const event = matched({ fingerprint: "1", spread: 0 });
  const sought = [{ family: "f", sets: ["s"], events: [event] }];
  const { fingerprints } = sight(sought, { applied: "3", found: [] }, null) as Sightings;
  const sent = { before: "3", after: "4", fingerprints };
  const look = (applied: string) => sight(sought, { applied, found: [] }, sent);

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

test("an answer to several batches is an answer to each", () => {
  const sought = (n: number) => ({ family: "f", sets: ["s"], events: Array.from({ length: n }, () => matched({})) });
  expect(splitSeen([[sought(2), sought(1)], [], [sought(3)]], { applied: "1", found: [0, 2, 3, 5] })).toEqual([
    { applied: "1", found: [0, 2] },
    { applied: "1", found: [] },
    { applied: "1", found: [0, 2] },
  ]);
});
