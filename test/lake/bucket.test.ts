import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { BucketStore } from "../../src/lake/bucket.ts";
import { FolderStore } from "../../src/lake/folder.ts";
import { hourOf, putSegment } from "../../src/lake/manifest.ts";
import { LakeTidier } from "../../src/lake/tidy.ts";
import { Metrics } from "../../src/metrics.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { S3_SERVER, startTestS3, type TestS3 } from "../support/s3.ts";
import { DocumentedQueries } from "./duckdb.ts";
import { readLake } from "./lake.ts";

const BUCKET = "lake-of-tests";
const T = Date.parse("2015-09-12T13:00:00Z");

describe.skipIf(!S3_SERVER)("a lake in a bucket (needs versitygw)", () => {
  let s3: TestS3;
  beforeAll(async () => {
    s3 = await startTestS3(BUCKET);
    for (const [name, value] of Object.entries(s3.env)) vi.stubEnv(name, value);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await s3.stop();
  });

  const rowAt = (sequence: number) => {
    const place = { partition: 0, arrived: T, sequence, index: 0 };
    return { ...place, id: `e${sequence}`, source: "", type: "t", time: T, subject: null, data: null };
  };

  test("holds files as a folder does: whole, listed in order, gone once removed", async () => {
    const store = new BucketStore(BUCKET, "a/");
    const other = new BucketStore(BUCKET, "b/");
    await other.put("x/1", Buffer.from("other"));
    for (const name of ["x/2", "x/1", "y/1"]) await store.put(name, Buffer.from(`content of ${name}`));
    const list = async (prefix: string) => {
      const found: string[] = [];
      for await (const { name } of store.list(prefix)) found.push(name);
      return found;
    };
    expect([await list(""), await list("x/")]).toEqual([
      ["x/1", "x/2", "y/1"],
      ["x/1", "x/2"],
    ]);
    expect(Buffer.from((await store.get("x/2")) as Uint8Array).toString()).toBe("content of x/2");
    expect(await store.get("x/3")).toBe(null);
    await store.remove("x/1");
    await store.remove("x/1");
    expect(await list("")).toEqual(["x/2", "y/1"]);
    expect(await other.get("x/1")).not.toBe(null);
  });

  test("is tidied as a folder is", { timeout: 60_000 }, async () => {
    const store = new BucketStore(BUCKET, "many/");
    const names = Array.from({ length: 9 }, (_, i) => `${hourOf(T)}01KJP00000000000000000000${i}.parquet`);
    for (const [i, name] of names.entries()) await putSegment(store, name, [rowAt(i), rowAt(i + 1)]);
    await new LakeTidier({ store, keepMs: null, metrics: new Metrics() }).run(Date.now());
    expect((await readLake(store)).map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, i) => `e${i}`));
  });

  describe("of a service", () => {
    let app: TestApp;
    beforeAll(async () => {
      app = await startTestApp(
        [{ name: "edits", event: ["edit", "create"], by: ["subject"], sum: "data.value", lateness: "4000d" }],
        {
          TALLYMARK_ARCHIVE: `s3://${BUCKET}/events`,
        },
      );
    });
    afterAll(() => app?.stop());

    const events = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => ({
        id: `${from + i}`,
        type: i % 3 === 0 ? "create" : "edit",
        subject: `page ${(from + i) % 7}`,
        time: new Date(T + (from + i) * 40_000).toISOString(),
        data: { value: i / 4, user: `u${i % 5}` },
      }));
    const store = () => new BucketStore(BUCKET, "events/");
    const archived = async () => (await readLake(store())).length;

    test("an outage of the bucket holds no counting up, and nothing is missing after it", {
      timeout: 90_000,
    }, async () => {
      await app.call("POST", "/v1/events?wait=applied", events(0, 100));
      await expect.poll(archived, { timeout: 30_000 }).toBe(100);
      await s3.kill();
      const { body } = await app.call("POST", "/v1/events?wait=applied", events(100, 200));
      expect(body).toMatchObject({ applied: 100 });
      const notes = async () => (await app.call("GET", "/readyz")).body.notes;
      await expect.poll(notes, { timeout: 45_000 }).toEqual([expect.stringMatching("^the archive cannot be written")]);
      await s3.start();
      await expect.poll(archived, { timeout: 30_000 }).toBe(200);
    });

    test("DuckDB reads it, and answers what the service answers", { timeout: 60_000 }, async () => {
      const day = "from=2015-09-12T00:00:00Z&to=2015-09-13T00:00:00Z";
      const top = (await app.call("GET", `/v1/counters/edits/top?limit=10&${day}`)).body.top as { key: string[] }[];
      const queries = await openBucket(s3);
      try {
        const rows = await queries.run("top");
        expect(rows).toHaveLength(7);
        expect(rows).toEqual(top.map(({ key, ...numbers }) => ({ key: key[0], ...numbers })));
        const series = (await app.call("GET", `/v1/counters/edits/series?window=1h&${day}`)).body.buckets as {
          count: number;
          start: string;
          sum: number;
        }[];
        const filled = series.filter(({ count }) => count > 0);
        expect((await queries.run("series")).map(({ unique, ...rest }) => rest)).toEqual(
          filled.map(({ start, count, sum }) => ({ start, count, sum })),
        );
      } finally {
        queries.close();
      }
    });
  });
});

/** DuckDB on the bucket itself; without its extension for that, which it fetches from the net, on a copy of it. */
async function openBucket(s3: TestS3): Promise<DocumentedQueries> {
  const direct = await DocumentedQueries.open(`s3://${BUCKET}/events`, [
    "LOAD httpfs",
    `CREATE SECRET (TYPE s3, KEY_ID '${s3.env.AWS_ACCESS_KEY_ID}', SECRET '${s3.env.AWS_SECRET_ACCESS_KEY}',
      REGION 'us-east-1', ENDPOINT '${s3.address}', URL_STYLE 'path', USE_SSL false)`,
  ]).catch(() => null);
  if (direct) return direct;
  const folder = await mkdtemp(join(tmpdir(), "tallymark-copy-"));
  try {
    const [bucket, copy] = [new BucketStore(BUCKET, "events/"), new FolderStore(folder)];
    for await (const { name } of bucket.list("")) await copy.put(name, (await bucket.get(name)) as Uint8Array);
    const queries = await DocumentedQueries.open(folder);
    await queries.connection.run(
      "CREATE TABLE copied AS SELECT * FROM events; DROP VIEW events; ALTER TABLE copied RENAME TO events",
    );
    return queries;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
