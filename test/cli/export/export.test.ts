import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type ExportOptions, runExport } from "../../../src/cli/export/export.ts";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { testIo } from "../helpers.ts";

const T = Date.parse("2015-09-12T10:00:00Z");
const MINUTE = 60_000;
const COUNTERS = [
  {
    name: "sales",
    event: "sale",
    by: ["subject", "data.country"],
    sum: "data.n",
    unique: "data.user",
    windows: ["1m", "1h"],
    lateness: "4000d",
    keysMax: 8,
  },
  { name: "all", event: "*", by: [], windows: ["1m"], lateness: "4000d" },
];
const SUBJECTS = ["/", 'a "quoted", one', "two\nlines", "zero\u0000byte", "emoji 🎉", ""];

let app: TestApp;
let directory: string;

beforeAll(async () => {
  app = await startTestApp(COUNTERS, { TALLYMARK_PARTITIONS: "2" });
  const events = Array.from({ length: 900 }, (_, i) => ({
    id: `e${i}`,
    type: "sale",
    subject: SUBJECTS[i % SUBJECTS.length],
    time: T + (i % 90) * MINUTE,
    data: { country: ["FR", "DE"][i % 4] ?? "", n: i / 8, user: `u${i % 7}` },
  }));
  for (let i = 0; i < events.length; i += 100) {
    expect((await app.call("POST", "/v1/events?wait=applied", events.slice(i, i + 100))).status).toBe(200);
  }
});
afterAll(() => app.stop());
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tallymark-export-"));
  return () => rm(directory, { recursive: true });
});

const SPAN = { from: new Date(T).toISOString(), to: String(T + 120 * MINUTE) };

async function exported(options: Partial<ExportOptions>): Promise<{ out: string; summary: unknown }> {
  const stdout = new PassThrough();
  const chunks: Buffer[] = [];
  stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const { stdout: _, ...io } = testIo();
  const summary = await runExport(
    { counter: "sales", format: "ndjson", url: app.url, ...SPAN, ...options },
    { ...io, stdout },
  );
  return { out: Buffer.concat(chunks).toString(), summary };
}

/** What the service answers itself, bucket by bucket. */
async function expected(window: string) {
  const { body } = await app.call("GET", "/v1/counters/sales/keys?limit=1000");
  const subjects = [...body.keys.map((key: string[]) => ({ key })), { other: true }];
  const queries = subjects.map((subject) => ({ counter: "sales", feed: "series", window, ...SPAN, ...subject }));
  const { results } = (await app.call("POST", "/v1/query", { queries })).body;
  return results.flatMap(({ key, buckets }: { key: string[] | null; buckets: { count: number }[] }) =>
    buckets
      .filter(({ count }) => count > 0)
      .map((bucket) => ({
        subject: key?.[0] ?? null,
        "data.country": key?.[1] ?? null,
        other: key === null,
        ...bucket,
      })),
  );
}

test("NDJSON to standard output holds every bucket that holds anything, of every key and of the refused ones", async () => {
  const { out, summary } = await exported({ window: "1m" });
  const rows = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rows).toEqual(await expected("1m"));
  expect(rows.some(({ other }) => other)).toBe(true);
  expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(900);
  expect(summary).toMatchObject({ rows: rows.length });
});

test("CSV in a file quotes what must be quoted", async () => {
  const output = join(directory, "sales.csv");
  await exported({ window: "1h", format: "csv", output });
  const text = await readFile(output, "utf8");
  const rows = await expected("1h");
  expect(text.slice(0, text.indexOf("\n"))).toBe("subject,data.country,other,start,count,sum,unique,final");
  expect(text).toContain('"a ""quoted"", one",');
  expect(text).toContain('"two\nlines",');
  expect(text.match(/,false,2015-09-12T1\d:00:00\.000Z,/g)).toHaveLength(
    rows.filter(({ other }: { other: boolean }) => !other).length,
  );
  expect(await readdir(directory)).toEqual(["sales.csv"]);
});

test("Parquet has typed columns", async () => {
  const output = join(directory, "sales.parquet");
  await exported({ window: "1m", format: "parquet", output });
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(output) });
  const shown = rows.map((row) => ({
    ...row,
    start: (row.start as Date).toISOString(),
    count: Number(row.count),
    unique: Number(row.unique),
  }));
  expect(shown).toEqual(await expected("1m"));
  expect(typeof rows[0]?.count).toBe("bigint");
});

test("a counter by no field, more buckets than one series holds, and no data at all", async () => {
  const from = String(T - 30_000 * MINUTE);
  const { out } = await exported({ counter: "all", from, format: "csv" });
  const lines = out.trimEnd().split("\n");
  expect(lines).toHaveLength(91);
  expect(lines.slice(0, 2)).toEqual(["start,count,final", "2015-09-12T10:00:00.000Z,10,false"]);
  const nothing = await exported({ from: "0", to: "60000", format: "csv" });
  expect(nothing.out).toBe("subject,data.country,other,start,count,sum,unique,final\n");
});

test.each([
  [{ counter: "none" }, '--counter: there is no "none", only all, sales'],
  [{ window: "5m" }, "--window: must be one of 1m, 1h"],
  [{ from: "yesterday" }, "--from: must be RFC 3339"],
  [{ from: "10", to: "10" }, "--from: must be before --to"],
  [{ format: "xml" }, "--format: must be one of csv, ndjson, parquet"],
  [{ format: "parquet" }, "--output: is needed for parquet"],
])("%j is refused", async (options, message) => {
  await expect(exported(options)).rejects.toThrow(message);
});

test("an export that cannot be finished leaves no file behind", async () => {
  const { stdout: _, ...io } = testIo();
  let requests = 0;
  const failing: typeof fetch = (...request) =>
    ++requests > 2 ? Promise.resolve(Response.json({ detail: "gone" }, { status: 500 })) : fetch(...request);
  const options = { counter: "sales", format: "csv", url: app.url, ...SPAN, output: join(directory, "sales.csv") };
  await expect(runExport(options, { ...io, fetch: failing, stdout: new PassThrough() })).rejects.toThrow("gone");
  expect(await readdir(directory)).toEqual([]);
});
