import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { Database } from "../src/cold/database.ts";
import { seriesCold } from "../src/cold/reader.ts";
import { type CellRow, ColdStore } from "../src/cold/store.ts";
import { Stretches, stretchOf } from "../src/cold/stretches.ts";
import { findPostgres, startTestPostgres, type TestPostgres } from "../test/support/postgres.ts";
import { copyRows } from "./copy-in.ts";

/** Cold storage on a Postgres of its own: rows written against plain COPY of the same rows, and series of a large table. */

const MINUTE = 60_000;
const DAY = 86_400_000;
/** Rows of one transaction of the export. */
const BATCH = 10_000;
const ROUNDS = 5;
const KEYS = 1_000;
const SERIES_BUCKETS = 1_000;
const WRITTEN_GENERATION = 1;
const READ_GENERATION = 2;

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "10000000" },
    written: { type: "string", default: "100000" },
    reads: { type: "string", default: "1000" },
    embedded: { type: "boolean", default: false },
  },
});

const bin = values.embedded ? null : await findPostgres();
if (!values.embedded && !bin) throw new Error("no Postgres server is installed");
const server: TestPostgres | null = bin ? await startTestPostgres(bin) : null;
const dataDir = await mkdtemp(join(tmpdir(), "tallymark-bench-cold-"));
const database = new Database({ url: server?.url ?? null, dataDir });
try {
  const figures = {
    write: await measureWrites(Number(values.written)),
    read: await measureReads(Number(values.rows), Number(values.reads)),
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} finally {
  await database.close();
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
}

/** Rows per second of the export and of plain COPY, in turns on an empty table, so that both meet the same machine. */
async function measureWrites(count: number) {
  const store = new ColdStore(database);
  const rows = makeRows(count);
  const seconds = { export: 0, copy: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    await store.insertCells(rows.slice(0, 1));
    await database.query("TRUNCATE cells");
    seconds.export += await time(async () => {
      for (let at = 0; at < count; at += BATCH) await store.insertCells(rows.slice(at, at + BATCH));
    });
    if (!server) continue;
    await database.query("TRUNCATE cells");
    const client = new pg.Client(server.url);
    await client.connect();
    seconds.copy += await time(async () => {
      for (let at = 0; at < count; at += BATCH) await copyRows(client, rows.slice(at, at + BATCH));
    });
    await client.end();
  }
  await database.query("TRUNCATE cells");
  const rate = (seconds: number) => Math.round((count * ROUNDS) / seconds);
  const exported = rate(seconds.export);
  if (!server) return { exported };
  return { exported, copied: rate(seconds.copy), ratio: round(seconds.copy / seconds.export) };
}

/** One minute after another, of so many keys, without sketches. */
function makeRows(count: number): CellRow[] {
  return Array.from({ length: count }, (_, i) => ({
    generation: WRITTEN_GENERATION,
    windowMs: MINUTE,
    start: Math.floor(i / KEYS) * MINUTE,
    owner: Buffer.from(`k/page/${i % KEYS}`),
    partition: 0,
    correction: 0,
    count: BigInt((i * 7_919) % 1_000),
    micro: BigInt((i * 7_919) % 1_000) * 250_000n,
    sketch: null,
  }));
}

/** Times of series of so many buckets in a table of `count` rows, keys and times at random, ms. */
async function measureReads(count: number, reads: number) {
  const minutes = Math.ceil(count / KEYS);
  const stretches = Array.from({ length: Math.ceil((minutes * MINUTE) / DAY) }, (_, day) =>
    stretchOf(MINUTE, day * DAY),
  );
  await new Stretches(database).ensure(stretches);
  await database.transaction(async (query) => {
    // As the export writes them: bucket by bucket. In pieces that end before the time limit of a statement.
    for (let from = 0; from < minutes; from += 200) {
      await query(
        `INSERT INTO cells SELECT ${READ_GENERATION}, 60, minute * ${MINUTE}::bigint, ('k/page/' || key)::bytea, NULL, 0, 0,
           minute % 1000, minute * 250000::bigint
         FROM generate_series($1::int, $2::int) AS minute, generate_series(0, ${KEYS - 1}) AS key`,
        [from, Math.min(minutes, from + 200) - 1],
      );
    }
  });
  if (server) await analyze(server.url);
  const times: number[] = [];
  for (let i = 0; i < reads; i++) {
    const from = Math.floor(Math.random() * Math.max(1, minutes - SERIES_BUCKETS)) * MINUTE;
    const span = { windowMs: MINUTE, from, to: from + SERIES_BUCKETS * MINUTE, partitions: [0] };
    const owner = Buffer.from(`k/page/${Math.floor(Math.random() * KEYS)}`);
    times.push(1_000 * (await time(() => seriesCold(database, READ_GENERATION, owner, [span]))));
  }
  times.sort((a, b) => a - b);
  const quantile = (q: number) => round(times[Math.min(times.length - 1, Math.floor(q * times.length))] ?? 0);
  return { rows: minutes * KEYS, p50: quantile(0.5), p99: quantile(0.99) };
}

/** What autovacuum does, once it comes to it. */
async function analyze(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query("VACUUM ANALYZE cells");
  await client.end();
}

/** Seconds that it takes. */
async function time(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1_000;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
