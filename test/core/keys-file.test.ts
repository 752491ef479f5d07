import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { parseKeysFile } from "../../src/core/keys-file.ts";
import { parseRate } from "../../src/core/rate.ts";

const KEY = `tm_${"k".repeat(43)}`;
const HASH = createHash("sha256").update(KEY).digest("hex");

test("an entry has a key, or its hash, which mean the same", () => {
  const about = { name: "a", scopes: ["read"], expiresAt: "2030-01-01T00:00:00Z", rateLimit: "5/m" };
  const expected = { id: HASH.slice(0, 16), hash: HASH, ...about, expiresAt: Date.UTC(2030, 0, 1) };
  expect(parseKeysFile([{ ...about, key: KEY }])).toEqual({ keys: [expected], faults: [] });
  expect(parseKeysFile([{ ...about, hash: HASH }])).toEqual({ keys: [expected], faults: [] });
});

test("all faults are told at once, each with its entry and field, and without the key", () => {
  const { faults } = parseKeysFile([
    { name: "", key: "tm_short", scopes: [] },
    { name: "b", scopes: ["read", "write"], hash: "abc", expiresAt: "soon", rateLimit: "1/d", colour: "red" },
    { name: "c", scopes: ["read", "read"], key: KEY, hash: HASH },
    { name: "d", scopes: ["read"] },
    5,
    { name: "e", scopes: ["read"], key: KEY },
    { name: "f", scopes: ["read"], hash: HASH },
  ]);
  expect(faults.map((fault) => fault.split(": ")[0]).sort()).toEqual([
    "[0].key",
    "[0].name",
    "[0].scopes",
    "[1].colour",
    "[1].expiresAt",
    "[1].hash",
    "[1].rateLimit",
    "[1].scopes",
    "[2]",
    "[2].scopes",
    "[3]",
    "[4]",
    "[6]",
  ]);
  expect(faults.join()).not.toMatch(/tm_k|tm_short/);
  expect(parseKeysFile({}).faults).toEqual(["must hold a JSON array of keys"]);
});

test.each([
  ["1000/s", { limit: 1_000, seconds: 1 }],
  ["60/m", { limit: 60, seconds: 60 }],
  ["1/h", { limit: 1, seconds: 3_600 }],
  ["0/s", null],
  ["1/d", null],
  ["1.5/s", null],
  ["1000", null],
])("rate %s", (text, rate) => expect(parseRate(text)).toEqual(rate));
