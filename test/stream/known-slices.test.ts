import { expect, test } from "vitest";
import { identify } from "../../src/core/identity.ts";
import { KnownSlices } from "../../src/stream/known-slices.ts";

const identityOf = (n: number) => identify("secret", "", `${n}`);

/** A slice that has just begun. */
function begun(slices: KnownSlices, family: string, ids: number, last = 0) {
  slices.begin(family);
  const slice = slices.of(family);
  if (!slice) throw new Error("it must be known");
  for (let n = 0; n < ids; n++) slice.ids.add(identityOf(n));
  slice.last = last;
}

const knownOf = (slices: KnownSlices, families: string) => [...families].filter((family) => slices.of(family)).join("");

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
  expect([slice?.ids.size, slice?.last, slice?.ids.add(identityOf(3))]).toEqual([0, Number.NEGATIVE_INFINITY, true]);
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
