import fc from "fast-check";
import { expect, test } from "vitest";
import type { MatchedEvent } from "../../src/stream/match.ts";
import { sight } from "../../src/stream/sightings.ts";

/**
 * Few different fingerprints, so that many repeat and many share a spread, in two lists. A fingerprint and its spread come
 * from one hash: equal ones have equal spreads.
 */
const list = fc.array(fc.integer({ min: 0, max: 6 }));
const spreads = fc.array(fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1), { minLength: 7, maxLength: 7 });
const identities = fc
  .tuple(list, list, spreads)
  .map(([one, other, spread]) =>
    [one, other].map((numbers) => numbers.map((n) => ({ fingerprint: `${n}`, spread: spread[n] }))),
  );

function matched(received: object): MatchedEvent {
  return { received, time: 0, hits: [] } as unknown as MatchedEvent;
}

test("an event is new unless its fingerprint is remembered or came earlier in the batch", () => {
  fc.assert(
    fc.property(identities, fc.func(fc.boolean()), (both, isFound) => {
      const lists = both.map((list) => list.map(matched));
      const all = lists.flat();
      const found = all.map((_, position) => position).filter(isFound);
      const sought = lists.map((events, i) => ({ family: "f", sets: [`set ${i}`], events }));
      const { duplicates, inserts } = sight(sought, { applied: "0", found });

      const known = new Set<string>();
      const expected = all.filter(({ received: { fingerprint } }, position) => {
        const isNew = !known.has(fingerprint) && !found.includes(position);
        known.add(fingerprint);
        return !isNew;
      });
      expect([...duplicates]).toEqual(expected);
      const fresh = all.filter((event) => !expected.includes(event)).map(({ received }) => received.fingerprint);
      expect(inserts.flatMap(({ fingerprints }) => fingerprints)).toEqual(fresh);
      expect(inserts.every(({ fingerprints }) => fingerprints.length > 0)).toBe(true);
    }),
  );
});
