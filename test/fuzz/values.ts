import type { Random } from "../../load/random.ts";

/** Random values, and ways to spoil good ones. */

export const pick = <Item>(random: Random, items: readonly Item[]): Item => items[random.below(items.length)] as Item;

const TEXTS = [
  "",
  " ",
  "null",
  "__proto__",
  "constructor",
  "toString",
  "\u0000",
  "\ud800",
  "\u202e\u200b\ufeff",
  "𝒳".repeat(40),
  "é".normalize("NFD"),
  "../../etc/passwd",
  "%00%ff%2e%2e",
  "*",
  "{p}:tm",
  "a\r\nx: y",
  "'; DROP TABLE cells; --",
  "1e999",
  "-1",
  "9".repeat(400),
  "0001-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999Z",
  "2026-02-30T25:61:61+99:99",
  "5m",
  "0s",
  "99999999999999999999d",
  "data.__proto__.x",
] as const;

export function oddText(random: Random): string {
  const kind = random.below(10);
  if (kind === 0) return "x".repeat(random.below(70_000));
  if (kind > 3) return pick(random, TEXTS);
  return Array.from({ length: random.below(200) }, () => String.fromCharCode(random.below(65_536))).join("");
}

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  1e-7,
  2 ** 31,
  2 ** 53,
  -(2 ** 53) - 2,
  9e9,
  9_000_000_000.5,
  Number.MAX_VALUE,
  253402300799999,
];

export function oddValue(random: Random, depth = 0): unknown {
  const kind = random.below(depth > 4 ? 5 : 9);
  if (kind === 0) return null;
  if (kind === 1) return random.below(2) === 0;
  if (kind === 2) return pick(random, NUMBERS);
  if (kind < 6) return oddText(random);
  const values = Array.from({ length: random.below(5) }, () => oddValue(random, depth + 1));
  if (kind === 6) return values;
  // From entries, so that even `__proto__` becomes a field.
  return Object.fromEntries(values.map((value) => [oddText(random), value]));
}

/** The value with one thing about it changed, somewhere. */
export function mutate(random: Random, value: unknown): unknown {
  if (value === null || typeof value !== "object" || random.below(6) === 0) return oddValue(random);
  if (Array.isArray(value)) return mutateList(random, value);
  const entries = Object.entries(value);
  const at = random.below(entries.length + 1);
  const entry = entries[at];
  if (!entry) return Object.fromEntries([...entries, [oddText(random), oddValue(random)]]);
  const [name, held] = entry;
  const changed = pick(random, [[], [[name, mutate(random, held)]], [[oddText(random), held]]]) as [string, unknown][];
  return Object.fromEntries(entries.toSpliced(at, 1, ...changed));
}

function mutateList(random: Random, list: readonly unknown[]): unknown[] {
  const at = random.below(list.length + 1);
  const [first = 0] = list;
  // More than a request may hold, of what is small.
  if (random.below(20) === 0 && JSON.stringify(first).length < 100) return Array.from({ length: 11_000 }, () => first);
  return list.toSpliced(at, random.below(2), ...(at < list.length ? [mutate(random, list[at])] : [oddValue(random)]));
}

/** JSON that `JSON.stringify` would not write. */
const SPOILT = [
  (text: string) => text.replace(/\d+/, "1e999"),
  (text: string) => text.replace(/\d+/, "9".repeat(5_000)),
  (text: string) => text.replace(/"[^"]*"/, '"\\ud800"'),
  (text: string) => text.replace("{", '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},'),
  (text: string) => text.replace("{", '{"type":"a","type":"b",'),
  (text: string) => text.slice(0, text.length >> 1),
  (text: string) => `${text}${text}`,
  (text: string) => `\ufeff${text}`,
  (text: string) => "[".repeat(100_000) + text,
  () => `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
  (text: string) => text.replaceAll('"', "'"),
  () => "NaN",
  () => "",
];

export const spoil = (random: Random, text: string): string => pick(random, SPOILT)(text);

/** Bytes that are no UTF-8, among bytes that were. */
export function garble(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const junk = Buffer.from(
    Array.from({ length: 1 + random.below(8) }, () => pick(random, [0xff, 0xc0, 0x80, 0xed, 0xa0, 0])),
  );
  return Buffer.concat([bytes.subarray(0, at), junk, bytes.subarray(at + random.below(3))]);
}
