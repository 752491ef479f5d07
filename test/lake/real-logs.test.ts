import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from "vitest";
import { call } from "../support/app.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { batchesOf, postAll, postBatch } from "../truth/replay.ts";
import {
  DATA_DIR,
  type Dataset,
  type LogEvent,
  loadCounters,
  loadLines,
  loadTruth,
  type Truth,
} from "../truth/truth.ts";
import { DocumentedQueries } from "./duckdb.ts";

/** Both real logs, archived by a service that is killed on the way, and read back by DuckDB. */

const LOGS: readonly Dataset[] = ["nasa-1995-08-01", "wiki-2015-09-12"];
const BATCH = 2_000;
const DAY = "from=2015-09-12T00:00:00Z&to=2015-09-13T00:00:00Z";

describe.skipIf(!DATA_DIR)("real logs in the lake (needs TALLYMARK_TEST_DATA)", () => {
  let lake: string;
  let queries: DocumentedQueries;
  /** What the service answered before it was stopped. */
  const answers: Record<string, Record<string, unknown>[]> = {};

  const start = (dataDir?: string): Promise<Service> =>
    startService({
      env: { TALLYMARK_PARTITIONS: "2", TALLYMARK_ARCHIVE: lake },
      config: loadCounters(),
      ...(dataDir && { dataDir }),
    });

  beforeAll(async () => {
    lake = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
    const batches = batchesOf(LOGS.flatMap(loadLines), BATCH);
    const killed = await start();
    const half = Math.floor(batches.length / 2);
    await postAll(killed.url, batches.slice(0, half), 4);
    // The last of them are under way somewhere between the stream and the lake.
    const last = batches.slice(half, half + 4).map((batch) => postBatch(killed.url, batch).catch(() => null));
    await killed.kill();
    await Promise.all(last);
    const service = await start(killed.dataDir);
    await postAll(service.url, batches.slice(half), 4);
    for (const path of [`top?limit=10&${DAY}`, `series?window=1h&${DAY}`]) {
      const { body } = await call(service.url, "GET", `/v1/counters/edits/${path}`);
      answers[path.slice(0, path.indexOf("?"))] = body.top ?? body.buckets;
    }
    // Stopping writes what is in hand.
    expect(await service.stop()).toBe(0);
    queries = await DocumentedQueries.open(lake);
  }, 300_000);
  afterAll(async () => {
    queries?.close();
    await rm(lake, { recursive: true, force: true });
    await removeTemporaryDirectories();
  });

  const typesOf = (truth: Truth) =>
    Object.keys(truth.by_type)
      .map((type) => `'${type}'`)
      .join(", ");

  // All figures of the truth are functions of these.
  test.each(LOGS)("every event of %s, field by field", async (log) => {
    const rows = await queries.rows(`
      SELECT id, type, subject, epoch_ms(time)::DOUBLE AS time, data::VARCHAR AS data
      FROM events WHERE type IN (${typesOf(loadTruth(log))})`);
    const found = new Map(rows.map(({ id, data, ...rest }) => [id, { ...rest, data: JSON.parse(data as string) }]));
    const lines = loadLines(log).map((line) => JSON.parse(line) as LogEvent);
    expect(rows.length).toBe(lines.length);
    const different = lines.filter(({ id, type, time, subject, data }) => {
      return !isDeepStrictEqual(found.get(id), { type, subject, time: Date.parse(time), data });
    });
    expect(different.slice(0, 3)).toEqual([]);
  });

  test.each(LOGS)("every total of %s", async (log) => {
    const truth = loadTruth(log);
    const [row] = await queries.rows(`
      SELECT count(*)::INTEGER AS events, count(DISTINCT id)::INTEGER AS distinct_ids,
        count(DISTINCT data->>'user')::INTEGER AS distinct_users, sum((data->>'value')::BIGINT)::VARCHAR AS value_sum,
        strftime(min(time), '%Y-%m-%dT%H:%M:%S.%gZ') AS time_min, strftime(max(time), '%Y-%m-%dT%H:%M:%S.%gZ') AS time_max
      FROM events WHERE type IN (${typesOf(truth)})`);
    const { events, distinct_ids, distinct_users, value, time_min, time_max } = truth;
    expect(row).toEqual({ events, distinct_ids, distinct_users, value_sum: value.sum, time_min, time_max });
  });

  test.each(LOGS)("every hour and every minute of %s", async (log) => {
    const truth = loadTruth(log);
    const rows = await queries.rows(`
      SELECT strftime(date_trunc('hour', time), '%Y-%m-%dT%H:00:00Z') AS start, count(*)::INTEGER AS events,
        count(DISTINCT data->>'user')::INTEGER AS distinct_users, sum((data->>'value')::BIGINT)::VARCHAR AS value_sum
      FROM events WHERE type IN (${typesOf(truth)}) GROUP BY start ORDER BY start`);
    const expected = Object.entries(truth.per_hour).map(([start, { events, distinct_users, value_sum }]) => {
      return { start, events, distinct_users, value_sum };
    });
    expect(rows).toEqual(expected.filter(({ events }) => events > 0));
    const minutes = await queries.rows(`
      SELECT strftime(date_trunc('minute', time), '%Y-%m-%dT%H:%M:00Z') AS minute, count(*)::INTEGER AS events
      FROM events WHERE type IN (${typesOf(truth)}) GROUP BY minute`);
    const counted = Object.entries(truth.per_minute).filter(([, events]) => events > 0);
    expect(Object.fromEntries(minutes.map(({ minute, events }) => [minute, events]))).toEqual(
      Object.fromEntries(counted),
    );
  });

  test.each(LOGS)("the best keys of %s", async (log) => {
    const truth = loadTruth(log);
    const rows = await queries.rows(`
      SELECT subject AS key, count(*)::INTEGER AS events, sum((data->>'value')::BIGINT)::VARCHAR AS value_sum
      FROM events WHERE type IN (${typesOf(truth)}) GROUP BY key ORDER BY events DESC, key LIMIT 20`);
    const expected = truth.dims.key!.top20.map(({ key, events, value_sum }) => ({ key, events, value_sum }));
    expect(rows).toEqual(expected);
  });

  test("the page's queries answer what the service answers", async () => {
    onTestFailed(() => console.error(answers));
    const top = answers.top!.map(({ key, ...numbers }) => ({ key: (key as string[])[0], ...numbers }));
    expect(await queries.run("top")).toEqual(top);
    const series = answers
      .series!.filter(({ count }) => count !== 0)
      .map(({ start, count, sum }) => ({ start, count, sum }));
    expect((await queries.run("series")).map(({ unique, ...rest }) => rest)).toEqual(series);
  });

  test("rows that stand twice are told by where they stood", async () => {
    const files = `read_parquet('${lake}/date=*/hour=*/*.parquet')`;
    const [row] = await queries.rows(`
      SELECT count(DISTINCT (partition, arrived, sequence, index))::INTEGER AS places,
        (SELECT count(*) FROM (SELECT DISTINCT partition, arrived, sequence, index, id FROM ${files}))::INTEGER AS events
      FROM ${files}`);
    expect(row!.places).toBe(row!.events);
  });
});
