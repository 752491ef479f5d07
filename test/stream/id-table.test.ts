import fc from "fast-check";
import { expect, test } from "vitest";
import { identify } from "../../src/core/identity.ts";
import { IdTable } from "../../src/stream/id-table.ts";

const identityOf = (n: number) => identify("secret", "", `${n}`);

test("a table holds what was added and nothing else, however much that is", () => {
  const table = new IdTable(0);
  const held = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.nat(5_000), { minLength: 200, maxLength: 500 }), (numbers) => {
      for (const identity of numbers.map(identityOf)) {
        const isNew = !held.has(identity.fingerprint);
        expect([table.has(identity), table.add(identity), table.has(identity)]).toEqual([!isNew, isNew, true]);
        held.add(identity.fingerprint);
      }
      expect(table.size).toBe(held.size);
    }),
  );
  expect(held.size).toBeGreaterThan(3_000);
});

test("ids are told apart by each part that identifies them", () => {
  const table = new IdTable(0);
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
  expect(identities.map((identity) => table.add(identity))).toEqual(identities.map(() => true));
  expect(identities.map((identity) => table.add(identity))).toEqual(identities.map(() => false));
});

test("a table that was cleared holds nothing", () => {
  const table = new IdTable(0);
  for (let n = 0; n < 1_000; n++) table.add(identityOf(n));
  table.clear();
  expect([table.size, table.has(identityOf(1)), table.add(identityOf(1))]).toEqual([0, false, true]);
});
