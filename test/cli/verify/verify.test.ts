import { expect, test } from "vitest";
import { runVerify } from "../../../src/cli/verify/verify.ts";
import { json, serve, temporaryFile, testIo } from "../helpers.ts";
import { type Answer, type Row, startStub } from "./stub.ts";

const T = Date.UTC(2024, 0, 1, 10);
const VIEWS = { name: "views", event: "view", by: ["subject"], unique: "data.v", sum: "data.n", windows: ["1m", "1h"] };

const ROWS: Row[] = [
  { key: ["/"], time: T, sum: 0.1, member: "ann" },
  { key: ["/"], time: T + 59_999, sum: 0.2, member: "bob" },
  { key: ["/a"], time: T + 60_000, sum: 1, member: "ann" },
  { key: ["/b"], time: T + 7_200_000, sum: -3, member: "eve" },
];

const lineOf = ({ key, time, sum, member }: Row, i: number) =>
  JSON.stringify({ id: `e${i}`, type: "view", time, subject: key[0], data: { n: sum, v: member } });

interface Case {
  readonly served?: readonly Row[];
  readonly lines?: readonly string[];
  readonly subset?: boolean;
  readonly definition?: Record<string, unknown>;
  readonly tamper?: (query: { key?: string[]; from?: string; to?: string }, answer: Answer) => void;
}

async function verify({ served = ROWS, lines = ROWS.map(lineOf), subset = false, definition, tamper }: Case) {
  const url = await startStub([{ definition: { ...VIEWS, ...definition }, rows: [...served] }], tamper);
  const io = testIo();
  const result = await runVerify({ files: [await temporaryFile(lines.join("\n"))], url, subset }, io);
  const printed = io.written.out.trimEnd().split("\n");
  expect(JSON.parse(printed.pop() as string)).toEqual(result);
  return { result, printed, err: io.written.err };
}

test("what agrees has no differences", async () => {
  const { result, printed, err } = await verify({});
  expect(result).toMatchObject({ events: 4, distinct: 4, counters: 1, differences: 0 });
  expect(result.compared).toBeGreaterThan(40);
  expect(printed).toEqual([]);
  expect(err).toBe("");
});

test("duplicates, rejected lines and other types count nothing", async () => {
  const other = [
    JSON.stringify({ id: "e0", type: "other" }),
    "nonsense",
    JSON.stringify({ id: "o", type: "other", time: T }),
  ];
  const { result, err } = await verify({ lines: [...ROWS.map(lineOf), ...other, lineOf(ROWS[0]!, 0)] });
  expect(result).toMatchObject({ events: 7, distinct: 5, differences: 0 });
  expect(err).toContain("Lines that are no acceptable event and are not counted: 1");
});

const isMinuteOfA = ({ key, from, to }: { key?: string[]; from?: string; to?: string }) =>
  key?.[0] === "/a" && Date.parse(to ?? "") - Date.parse(from ?? "") === 60_000;

test("one wrong cell is found", async () => {
  const { printed, err } = await verify({
    tamper: (query, answer) => isMinuteOfA(query) && Object.assign(answer, { count: 0 }),
  });
  // The key has one event, so its whole span is that of its minute, too.
  expect(printed).toEqual([
    'views, key ["/a"], 2024-01-01T10:01:00.000Z to 2024-01-01T10:02:00.000Z: count is 0, should be 1',
  ]);
  expect(err).toContain("The service counted less in 1 places. Events older than a closed bucket are late");
});

test("one wrong sum is found, down to a millionth", async () => {
  const { printed } = await verify({
    tamper: (query, answer) => isMinuteOfA(query) && Object.assign(answer, { sum: 1.000001 }),
  });
  expect(printed).toEqual([
    'views, key ["/a"], 2024-01-01T10:01:00.000Z to 2024-01-01T10:02:00.000Z: sum is 1.000001, should be 1',
  ]);
});

test("a wrong estimate is found, for a key and the total", async () => {
  const { printed } = await verify({ tamper: (_query, answer) => Object.assign(answer, { unique: 9 }) });
  expect(printed).toHaveLength(4);
  expect(printed[0]).toBe(
    "views, total, 2024-01-01T10:00:00.000Z to 2024-01-01T12:01:00.000Z: unique is 9, should be 3 give or take 3",
  );
});

test("a missing key is found in the list, the totals and its cells", async () => {
  const { printed } = await verify({ served: ROWS.slice(0, 3) });
  expect(printed).toContain('views, key ["/b"]: is not listed');
  expect(printed).toContain("views, series of 1h, bucket 2024-01-01T12:00:00.000Z: count is 0, should be 1");
  expect(printed.filter((line) => line.startsWith('views, key ["/b"],') && line.includes("count is 0"))).toHaveLength(
    3,
  );
});

test("an extra key is found", async () => {
  const extra = { key: ["/x"], time: T + 60_001, sum: 0, member: "ann" };
  const { printed, err } = await verify({ served: [...ROWS, extra] });
  expect(printed).toContain('views, key ["/x"]: is listed, but has no events');
  expect(printed).toContain("views, series of 1m, bucket 2024-01-01T10:01:00.000Z: count is 2, should be 1");
  expect(err).toBe("");
});

test("an event far outside the data is found, also by a counter that should be empty", async () => {
  const far = { key: ["/"], time: T + 30 * 86_400_000, sum: 0, member: "ann" };
  const outside = await verify({ served: [...ROWS, far] });
  expect(outside.printed).toHaveLength(1);
  expect(outside.printed[0]).toMatch(/^views, total, 2024-01-01T13:00.* count is 1, should be 0$/);
  const empty = await verify({ served: [far], lines: [] });
  expect(empty.printed).toContain("views, total, last 1h: count is 1, should be 0");
});

test("with --subset the service may have more, not less", async () => {
  const more = [...ROWS, ...ROWS, { key: ["/x"], time: T, sum: 1, member: "zoe" }];
  expect((await verify({ served: more, subset: true })).result.differences).toBe(0);
  const { printed } = await verify({ served: ROWS.slice(1), subset: true });
  expect(printed.length).toBeGreaterThan(0);
  expect(printed[0]).toContain("count is 3, should be at least 4");
});

test("more keys than keysMax allows are a difference", async () => {
  const { printed } = await verify({ definition: { keysMax: 1 } });
  expect(printed[0]).toMatch(/: 2 keys are counted under their names, should be 1$/);
});

test("a key that keysMax refused is expected among the others, not under its name", async () => {
  const served = ROWS.map((row) => (row.key[0] === "/a" ? { ...row, refused: true } : row));
  expect((await verify({ served, definition: { keysMax: 1 } })).printed).toEqual([]);
  // What is counted nowhere is missed among the others.
  const lost = served.filter(({ refused }) => !refused);
  const { printed } = await verify({ served: lost, definition: { keysMax: 1 } });
  expect(printed.some((line) => line.includes('"/a"'))).toBe(false);
  expect(printed).toContain(
    "views, other keys, 2024-01-01T10:01:00.000Z to 2024-01-01T10:02:00.000Z: count is 0, should be 1",
  );
});

test("a problem instead of an answer is a difference", async () => {
  const { printed } = await verify({
    tamper: (query, answer) => {
      if (!isMinuteOfA(query)) return;
      for (const name of Object.keys(answer)) delete answer[name];
      Object.assign(answer, { status: 400, code: "invalid_key", detail: "why" });
    },
  });
  expect(printed).toHaveLength(1);
  expect(printed[0]).toMatch(/: answered 400 invalid_key \(why\)$/);
});

test("an answer for a wider span than the bucket is a difference, unless the window forgets", async () => {
  const tamper = (query: { key?: string[]; from?: string; to?: string }, answer: Answer) => {
    if (isMinuteOfA(query)) answer.from = "2024-01-01T10:00:00.000Z";
  };
  const { printed } = await verify({ tamper });
  expect(printed).toHaveLength(1);
  expect(printed[0]).toContain("answered for 2024-01-01T10:00:00.000Z to 2024-01-01T10:02:00.000Z");
  expect((await verify({ tamper, definition: { coldKeep: { "1m": "1d" } } })).result.differences).toBe(0);
});

test("fifty differences are printed, all are counted", async () => {
  const { result, printed } = await verify({
    served: [],
    lines: Array.from({ length: 60 }, (_, i) => lineOf({ ...ROWS[0]!, key: [`/${i}`] }, i)),
  });
  expect(printed).toHaveLength(51);
  expect(printed[50]).toBe(`and ${result.differences - 50} more differences`);
});

test("events whose time only the service knows cannot be verified", async () => {
  const lines = [lineOf(ROWS[0]!, 0), '{"id":"x","type":"view"}', '{"type":"view"}'];
  await expect(verify({ lines })).rejects.toThrow(/^2 events have no time, .*line 2\)$/);
});

test("a service that is not there, or not Tallymark, is named", async () => {
  const run = async (url: string) => runVerify({ files: [await temporaryFile("")], url, subset: false }, testIo());
  await expect(run("http://127.0.0.1:9")).rejects.toThrow("http://127.0.0.1:9/v1/counters cannot be reached");
  const odd = await serve((_request, _body, response) => json(response, 404, { detail: "no" }));
  await expect(run(odd)).rejects.toThrow(`${odd}/v1/counters answered 404 (no)`);
});

test("503 is tried again", async () => {
  let requests = 0;
  const url = await serve((_request, _body, response) => {
    if (++requests < 3) json(response, 503, {}, { "retry-after": "1" });
    else json(response, 200, { counters: [] });
  });
  const result = await runVerify({ files: [await temporaryFile("")], url, subset: false }, testIo());
  expect(result).toEqual({ events: 0, distinct: 0, counters: 0, compared: 0, differences: 0 });
});
