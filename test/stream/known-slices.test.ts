import fc from "fast-check";
import { expect, test } from "vitest";
import { identify } from "../../src/core/identity.ts";
import { KnownSlices } from "../../src/stream/known-slices.ts";

const identityOf = (n: number) => identify("secret", "", `${n}`);

/** A slice that has just begun. */
function begun(slices: KnownSlices, family: string, ids: number, last = 0) {
  slices.begin(family);
  const slice = slices.of(family);
  if (!slice) throw new Error("it must be known");
  for (let n = 0; n < ids; n++) slice.add(identityOf(n));
  slice.last = last;
  return slice;
}

const knownOf = (slices: KnownSlices, families: string) => [...families].filter((family) => slices.of(family)).join("");

test("a slice holds what was added and nothing else, however much that is", () => {
  const slice = begun(new KnownSlices(), "a", 0);
  const held = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.nat(5_000), { minLength: 200, maxLength: 500 }), (numbers) => {
      for (const identity of numbers.map(identityOf)) {
        expect(slice.add(identity)).toBe(!held.has(identity.fingerprint));
        held.add(identity.fingerprint);
      }
      expect(slice.size).toBe(held.size);
    }),
  );
  expect(held.size).toBeGreaterThan(3_000);
});

test("ids are told apart by each part that identifies them", () => {
  const slice = begun(new KnownSlices(), "a", 0);
  const identities = [
    { fingerprint: "0", spread: 0 },
    { fingerprint: "0", spread: 2 ** 32 - 1 },
    { fingerprint: "1", spread: 0 },
    { fingerprint: "1000000000", spread: 0 },
    { fingerprint: "9223372036854775807", spread: 0 },
    { fingerprint: "9223372036854775806", spread: 0 },
    { fingerprint: "-9223372036854775808", spread: 0 },
    { fingerprint: "8223372036854775807", spread: 0 },
  ];
  expect(identities.map((identity) => slice.add(identity))).toEqual(identities.map(() => true));
  expect(identities.map((identity) => slice.add(identity))).toEqual(identities.map(() => false));
});

test("the oldest slices are forgotten where there are too many ids, or slices", () => {
  const slices = new KnownSlices(100);
  for (const family of "abc") begun(slices, family, 40);
  expect(knownOf(slices, "abc")).toBe("abc");
  slices.trim();
  expect(knownOf(slices, "abc")).toBe("bc");
  begun(slices, "d", 101);
  slices.trim();
  expect(knownOf(slices, "abcd")).toBe("");

  const names = Array.from({ length: 70 }, (_, i) => String.fromCharCode(i + 1_000));
  for (const family of names) begun(slices, family, 1);
  slices.trim();
  expect(knownOf(slices, names.join(""))).toBe(names.slice(-64).join(""));
});

test("a slice whose table had been another's holds nothing of it", () => {
  const slices = new KnownSlices(10);
  begun(slices, "a", 11, 5);
  slices.trim();
  slices.begin("b");
  const slice = slices.of("b");
  expect([slice?.size, slice?.last, slice?.add(identityOf(3))]).toEqual([0, Number.NEGATIVE_INFINITY, true]);
});

test("slices are forgotten with the sets in Redis, or all at once", () => {
  const slices = new KnownSlices();
  for (const [family, last] of [
    ["a", 9],
    ["b", 10],
    ["c", 11],
  ] as const)
    begun(slices, family, 1, last);
  slices.forgetBefore(10);
  expect(knownOf(slices, "abc")).toBe("bc");
  slices.clear();
  expect(knownOf(slices, "abc")).toBe("");
});
