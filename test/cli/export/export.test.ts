import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { COUNTERS, groupBy, MINUTE, type Row, rowsOf, runTestExport, SALES, T } from "./sent.ts";

let app: TestApp;
let directory: string;

beforeAll(async () => {
  app = await startTestApp(COUNTERS, { TALLYMARK_PARTITIONS: "2" });
  for (let i = 0; i < SALES.length; i += 200) {
    const { status } = await app.call("POST", "/v1/events?wait=applied", SALES.slice(i, i + 200));
    expect(status).toBe(200);
  }
});
afterAll(() => app.stop());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tallymark-export-"));
  return () => rm(directory, { recursive: true });
});

function readCsv(text: Buffer): Row[] {
  const rows: (Omit<Row, "other" | "final"> & Record<"other" | "final", string>)[] = parse(text, { columns: true });
  return rows.map((row) => ({
    ...row,
    other: row.other === "true",
    count: Number(row.count),
    sum: Number(row.sum),
    unique: Number(row.unique),
    final: row.final === "true",
  }));
}

const readNdjson = (text: Buffer): Row[] =>
  text
    .toString()
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

async function readParquet(bytes: Buffer): Promise<Row[]> {
  const file = new Uint8Array(bytes).buffer;
  const columns = parquetMetadata(file).schema.slice(1);
  expect(columns.map(({ type }) => type)).toEqual([
    "BYTE_ARRAY",
    "BYTE_ARRAY",
    "BOOLEAN",
    "INT64",
    "INT64",
    "DOUBLE",
    "INT64",
    "BOOLEAN",
  ]);
  const rows = await parquetReadObjects({ file });
  return rows.map(
    (row) =>
      ({
        ...row,
        start: (row.start as Date).toISOString(),
        count: Number(row.count),
        unique: Number(row.unique),
      }) as Row,
  );
}

const READERS = { csv: readCsv, ndjson: readNdjson, parquet: readParquet };

test.each(Object.entries(READERS))("%s holds what was sent, on standard output and in a file", async (format, read) => {
  const { out, summary } = await runTestExport({ url: app.url, format });
  const rows = rowsOf(SALES, MINUTE);
  expect(await read(out)).toEqual(rows);
  expect(summary).toMatchObject({ rows: rows.length, keys: 61 });

  const output = join(directory, "sales");
  const { out: nothing, io } = await runTestExport({ url: app.url, format, output, window: "1h" });
  expect(nothing).toHaveLength(0);
  expect(await read(await readFile(output))).toEqual(rowsOf(SALES, 60 * MINUTE));
  expect(await readdir(directory)).toEqual(["sales"]);
  expect(io.written.err.split("\n")).toEqual([expect.stringMatching(/^\{"rows":\d+,"keys":61,"seconds":\d/), ""]);
});

test("keys refused by keysMax are rows of their own", async () => {
  const { out } = await runTestExport({ url: app.url, counter: "few" });
  const rows = readNdjson(out);
  const others = rows.filter(({ other }) => other);
  expect(others.every(({ subject }) => subject === null)).toBe(true);
  expect(others.length).toBeGreaterThan(0);
  const counts = (some: readonly { start: string; count: number }[]) =>
    [...groupBy(some, ({ start }) => start)]
      .map(([start, few]) => [start, few.reduce((sum, { count }) => sum + count, 0)])
      .sort();
  expect(counts(rows)).toEqual(counts(rowsOf(SALES, MINUTE)));
});

test("a counter by no field, and more buckets than one series holds", async () => {
  const { out } = await runTestExport({
    url: app.url,
    counter: "all",
    from: String(T - 30_000 * MINUTE),
    format: "csv",
  });
  const lines = out.toString().split("\n");
  expect(lines.slice(0, 2)).toEqual(["start,count,final", "2015-09-12T10:00:00.000Z,14,false"]);
  expect(lines).toHaveLength(1 + 90 + 1);
});

test.each(["csv", "ndjson", "parquet"] as const)("%s without data is whole all the same", async (format) => {
  const { out } = await runTestExport({ url: app.url, format, from: "0", to: "60000" });
  expect(await READERS[format](out)).toEqual([]);
  if (format === "csv") expect(out.toString()).toBe("subject,data.country,other,start,count,sum,unique,final\n");
});

test("a span up to the end of the year 9999", async () => {
  const { out } = await runTestExport({ url: app.url, from: "9999-12-31T23:00:00Z", to: "9999-12-31T23:59:59.999Z" });
  expect(out).toHaveLength(0);
});
