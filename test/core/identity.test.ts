import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { identify } from "../../src/core/identity.ts";

test("an identity is the first bits of the keyed hash, as signed decimal and number", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (source, id) => {
      const digest = createHash("sha256").update(`secret${source.length}:${source}${id}`).digest();
      const expected = { fingerprint: digest.readBigInt64BE(0).toString(), spread: digest.readUInt32BE(8) };
      expect(identify("secret", source, id)).toEqual(expected);
    }),
  );
});

test("identities stay as they are: what is remembered in Redis was made by an earlier release", () => {
  expect(identify("secret", "web", "01J8Z3NDEKTSV4RRFFQ69G5FAV")).toEqual({
    fingerprint: "-2969716416593237654",
    spread: 588776981,
  });
  expect(identify("secret", "", "a")).toEqual({ fingerprint: "9100544163025351609", spread: 3501844726 });
});
