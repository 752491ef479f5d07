import { Writable } from "node:stream";
import { parse } from "csv-parse/sync";
import { parquetReadObjects } from "hyparquet";
import { expect, test } from "vitest";
import { runExport } from "../../../src/cli/export/export.ts";
import { testIo } from "../helpers.ts";
import { MINUTE, runTestExport, SPAN, T } from "./sent.ts";
import { oneBucket, type StubQuery, startStub } from "./stub.ts";

const pageOf = (from: number, count: number) => Array.from({ length: count }, (_, i) => [`key ${from + i}`]);
const rowsIn = (out: Buffer) => out.toString().split("\n").length - 1;

test("a request holds a thousand queries at most, however short the span", async () => {
  const stub = await startStub({ keys: [pageOf(0, 1_000), pageOf(1_000, 1_000), pageOf(2_000, 7)] });
  const { out } = await runTestExport({ url: stub.url, from: String(T), to: String(T + MINUTE) });
  expect(stub.requests.map(({ length }) => length)).toEqual([1_000, 1_000, 8]);
  expect(rowsIn(out)).toBe(2_008);
});

test("a request stays below what the service takes, however long the keys", async () => {
  const long = "\u0000".repeat(300_000);
  const stub = await startStub({ keys: [Array.from({ length: 10 }, (_, i) => [`${i}${long}`])] });
  const { out } = await runTestExport({ url: stub.url });
  expect(stub.requests.map(({ length }) => length)).toEqual([3, 3, 3, 2]);
  expect(rowsIn(out)).toBe(11);
});

test("no series exceeds what one may hold, and the pieces meet", async () => {
  const stub = await startStub({ keys: [[[]]], by: [] });
  await runTestExport({ url: stub.url, from: String(T + 1), to: String(T + 45_000 * MINUTE + 1) });
  const pieces = stub.requests.flat();
  expect(pieces.map(({ from, to }) => (to - from) / MINUTE)).toEqual([10_000, 10_000, 10_000, 10_000, 5_001]);
  for (const [i, { from }] of pieces.entries()) expect(from).toBe(pieces[i - 1]?.to ?? T);
  expect(stub.requests.every((queries) => queries.length <= 2)).toBe(true);
});

test("whoever answers 503 is asked again when it said, for one result too", async () => {
  let refusals = 2;
  const busy = { status: 503, headers: { "retry-after": "7" } };
  const stub = await startStub({
    keys: [pageOf(0, 3)],
    status: (path) => (path === "/v1/query" && refusals-- > 0 ? busy : null),
    result: (query: StubQuery, request) =>
      query.key?.[0] === "key 1" && request < 3 ? { status: 503, detail: "cold storage" } : oneBucket(query, request),
  });
  const { out, io } = await runTestExport({ url: stub.url });
  const keys = out
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).subject);
  expect(keys).toEqual(["key 0", "key 1", "key 2", null]);
  expect(stub.requests.map(({ length }) => length)).toEqual([4, 1, 1]);
  expect(io.clock.sleeps).toHaveLength(4);
  for (const ms of io.clock.sleeps.slice(0, 2)) expect(ms).toBeGreaterThanOrEqual(7_000);
});

test("a result that stays refused is no row left out", async () => {
  const stub = await startStub({ keys: [pageOf(0, 1)], result: () => ({ status: 503, detail: "cold storage" }) });
  await expect(runTestExport({ url: stub.url })).rejects.toThrow('"key 0"');
});

test("numbers beyond 2^53 keep all their digits, but sums in parquet", async () => {
  const numbers = { count: "9007199254740993", sum: "-9007199254.740993" };
  const stub = await startStub({ keys: [[["k"]]], result: (query, request) => oneBucket(query, request, numbers) });
  const { out: ndjson } = await runTestExport({ url: stub.url });
  expect(JSON.parse(ndjson.toString().split("\n")[0] as string)).toMatchObject(numbers);
  const { out: csv } = await runTestExport({ url: stub.url, format: "csv" });
  expect(parse(csv, { columns: true })[0]).toMatchObject(numbers);
  const { out: parquet } = await runTestExport({ url: stub.url, format: "parquet" });
  const [row] = await parquetReadObjects({ file: new Uint8Array(parquet).buffer });
  expect(row).toMatchObject({ count: 9007199254740993n, sum: -9007199254.740993 });
});

test("parquet comes in row groups, all of them read back", async () => {
  const minutes = (count: number) => Array.from({ length: count }, (_, i) => new Date(T + i * MINUTE).toISOString());
  const buckets = minutes(10_000).map((start) => ({ start, count: 1, sum: 0.5, final: true }));
  const stub = await startStub({ keys: [pageOf(0, 25)], result: () => ({ buckets }) });
  const { out, summary } = await runTestExport({ url: stub.url, format: "parquet", to: String(T + 10_000 * MINUTE) });
  const rows = await parquetReadObjects({ file: new Uint8Array(out).buffer, columns: ["subject", "start"] });
  expect(rows).toHaveLength(260_000);
  expect(rows[123_456]).toEqual({ subject: "key 12", start: new Date(T + 3_456 * MINUTE) });
  expect(summary).toMatchObject({ rows: 260_000, keys: 26 });
});

test("nothing is asked for while what came before is not written", async () => {
  const stub = await startStub({ keys: [pageOf(0, 5_000)] });
  const ahead: number[] = [];
  let writes = 0;
  const stdout = new Writable({
    write: (_chunk, _encoding, done) => {
      ahead.push(stub.requests.length - ++writes);
      setImmediate(done);
    },
  });
  await runExport({ counter: "sales", format: "ndjson", url: stub.url, ...SPAN }, { ...testIo(), stdout });
  expect(writes).toBe(Math.ceil(5_001 / Math.floor(20_000 / 120)));
  expect(Math.max(...ahead)).toBe(0);
});
