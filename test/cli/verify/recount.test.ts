import { expect, test } from "vitest";
import { type Expected, sumRow } from "../../../src/cli/verify/expected.ts";
import { Recount } from "../../../src/cli/verify/recount.ts";
import { parseSum, Report, uniqueSlack } from "../../../src/cli/verify/report.ts";
import { lookupPieces, seriesPieces } from "../../../src/cli/verify/spans.ts";
import { type CounterDefinition, compileCounter } from "../../../src/core/counter.ts";
import { parseCounter } from "../../../src/core/counter-parse.ts";
import { PLAN_BUCKETS_MAX } from "../../../src/core/limits.ts";

const NOW = Date.UTC(2024, 5, 1);
const T = Date.UTC(2024, 0, 1);
const MINUTE = 60_000;
const compile = (input: Record<string, unknown>) =>
  compileCounter(parseCounter({ event: "*", windows: ["1m", "1h"], ...input }) as CounterDefinition, 0);

function recount(definitions: readonly Record<string, unknown>[], events: readonly unknown[]) {
  const made = new Recount(definitions.map(compile));
  for (const [i, event] of events.entries())
    made.addLine(typeof event === "string" ? event : JSON.stringify(event), `line ${i + 1}`, NOW);
  return made;
}

const cellsOf = (expected: Expected, window = 0) =>
  [...expected.cells(expected.counter.windows[window]!)].map(([start, row]) => [
    (start - T) / MINUTE,
    Object.fromEntries([...row].map(([owner, { count, micro }]) => [owner ?? "other", [Number(count), Number(micro)]])),
  ]);

test("cells of every window, by hand", () => {
  const { expected } = recount(
    [{ name: "c", by: ["subject"], sum: "data.n", unique: "data.v" }],
    [
      { id: "1", type: "t", time: T, subject: "a", data: { n: 1.5, v: "x" } },
      { id: "2", type: "t", time: "2024-01-01T00:00:59.999Z", subject: "a", data: { n: -0.0000005, v: "y" } },
      { id: "3", type: "t", time: T + MINUTE, data: { n: "7", v: "x" } },
      { id: "4", type: "t", time: T + 61 * MINUTE, subject: "a" },
    ],
  );
  expect(cellsOf(expected[0]!)).toEqual([
    [0, { a: [2, 1_499_999] }],
    [1, { "": [1, 0] }],
    [61, { a: [1, 0] }],
  ]);
  expect(cellsOf(expected[0]!, 1)).toEqual([
    [0, { a: [2, 1_499_999], "": [1, 0] }],
    [60, { a: [1, 0] }],
  ]);
  expect(expected[0]?.members).toBe(2);
  expect(expected[0]?.membersOf("a")).toBe(2);
  expect(expected[0]?.membersOf("")).toBe(1);
  expect(expected[0]?.span).toEqual({ from: T, to: T + 62 * MINUTE });
  expect(expected[0]?.totals(T + MINUTE, T + 62 * MINUTE)).toEqual(
    new Map([
      ["", { count: 1n, micro: 0n }],
      ["a", { count: 1n, micro: 0n }],
    ]),
  );
});

test("the first of one source and id counts, whatever the others say", () => {
  const made = recount(
    [{ name: "c", by: ["type"] }],
    [
      { id: "1", type: "t", time: T },
      { id: "1", type: "u", time: T },
      { id: "1", source: "s", type: "u", time: T },
      { id: "1", source: "", type: "v", time: T + MINUTE },
    ],
  );
  expect(made).toMatchObject({ events: 4, distinct: 2 });
  expect(cellsOf(made.expected[0]!)).toEqual([[0, { t: [1, 0], u: [1, 0] }]]);
});

test("what the service rejects is not counted, nor does it make a later copy a duplicate", () => {
  const made = recount(
    [{ name: "c", by: [], sum: "data.n" }],
    [
      "{",
      { id: "1", time: T },
      { id: "1", type: "t", time: T, data: { n: 9_000_000_001 } },
      { id: "1", type: "t", time: T, data: { text: "x".repeat(70_000) } },
      { id: "1", type: "t", time: NOW + 6 * MINUTE },
      { id: "1", type: "t", time: T, data: { n: 2 } },
    ],
  );
  expect(made.rejected).toMatchObject({ count: 5 });
  expect(made.rejected.first).toMatch(/^line 1: /);
  expect(made).toMatchObject({ events: 1, distinct: 1 });
  expect(cellsOf(made.expected[0]!)).toEqual([[0, { "": [1, 2_000_000] }]]);
});

test("types and where choose, and the time may lie in the id", () => {
  const { expected, timeless } = recount(
    [
      { name: "c", event: ["a", "b"], by: [], where: { "data.n": [1, true] } },
      { name: "d", event: "b", by: [] },
    ],
    [
      { id: "01HK153X00XXXXXXXXXXXXXXXX", type: "a", data: { n: 1 } },
      { id: "2", type: "b", time: T, data: { n: "true" } },
      { id: "3", type: "b", time: T, data: { n: 2 } },
      { id: "4", type: "c", time: T, data: { n: 1 } },
      { type: "b", time: T },
      { type: "b", time: T },
    ],
  );
  expect(timeless.count).toBe(0);
  expect(expected.map((one) => cellsOf(one))).toEqual([[[0, { "": [2, 0] }]], [[0, { "": [4, 0] }]]]);
});

test("refused keys are counted together", () => {
  const { expected } = recount(
    [{ name: "c", by: ["subject"], unique: "id" }],
    ["a", "b", "a"].map((subject, i) => ({ id: `${i}`, type: "t", time: T + i * 60 * MINUTE, subject })),
  );
  expected[0]?.refuse(new Set(["a", "b"]), T, T + 120 * MINUTE);
  expect(cellsOf(expected[0]!)).toEqual([
    [0, { other: [1, 0] }],
    [60, { other: [1, 0] }],
    [120, { a: [1, 0] }],
  ]);
  expect(expected[0]?.membersOf("a")).toBeNull();
  expect(expected[0]?.keys()).toEqual(new Set(["a"]));
  expect(sumRow(expected[0]?.totals(T, T + 999 * MINUTE))).toEqual({ count: 3n, micro: 0n });
});

test("series leave out long stretches without data and keep within their limit", () => {
  expect(seriesPieces([0], 10)).toEqual([{ from: 0, to: 20 }]);
  expect(seriesPieces([50, 20], 10)).toEqual([{ from: 10, to: 70 }]);
  expect(seriesPieces([100, 1_000_000], 10)).toEqual([
    { from: 90, to: 120 },
    { from: 999_990, to: 1_000_020 },
  ]);
  const dense = seriesPieces(
    Array.from({ length: 25_000 }, (_, i) => i * 10),
    10,
  );
  expect(dense.map(({ from, to }) => (to - from) / 10)).toEqual([10_000, 10_000, 5_001]);
});

test("a span too long for one lookup is cut at buckets of the widest window", () => {
  const windows = [
    { label: "1s", ms: 1_000 },
    { label: "1m", ms: MINUTE },
  ];
  expect(lookupPieces(windows, { from: 1_000, to: 5 * MINUTE })).toEqual([{ from: 1_000, to: 5 * MINUTE }]);
  const most = PLAN_BUCKETS_MAX * MINUTE;
  expect(lookupPieces(windows, { from: 1_000, to: most + 1_000 })).toEqual([
    { from: 0, to: most },
    { from: most, to: most + MINUTE },
  ]);
});

test("sums are compared exactly, as numbers and as decimal text", () => {
  expect(parseSum(1.000001)).toBe(1_000_001n);
  expect(parseSum(-0.000001)).toBe(-1n);
  expect(parseSum("9007199254.740993")).toBe(9_007_199_254_740_993n);
  expect(parseSum("-12345678901234567890.5")).toBe(-12_345_678_901_234_567_890_500_000n);
  expect(parseSum("1e5")).toBeNull();
  const differs = (micro: bigint, sum: unknown) => {
    const report = new Report(false, () => {});
    report.numbers(() => "x", { count: 1n, micro, unique: null }, { count: 1, sum });
    return report.differences === 1;
  };
  expect(differs(9_007_199_254_740_993n, "9007199254.740993")).toBe(false);
  expect(differs(9_007_199_254_740_993n, "9007199254.740992")).toBe(true);
  expect(differs(9_007_199_254_740_991n, 9_007_199_254_740_991 / 1e6)).toBe(false);
  expect(differs(300_000n, 0.1 + 0.2)).toBe(false);
  expect(differs(300_000n, 0.300001)).toBe(true);
  expect(differs(0n, undefined)).toBe(true);
});

test("estimates may lie three standard errors off", () => {
  expect(uniqueSlack(0)).toBe(3);
  expect(uniqueSlack(100_000)).toBeCloseTo(2_433);
});
