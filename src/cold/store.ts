import type { Database, Query } from "./database.ts";
import { indexedOwner, longOwner } from "./owners.ts";
import { listStretches, type Stretch, Stretches, stretchOf, tableOf } from "./stretches.ts";

/** A row of cold storage: one cell of one partition, or what a correction adds to it. */
export interface CellRow {
  readonly generation: number;
  readonly windowMs: number;
  /** Of the bucket, ms. */
  readonly start: number;
  /** See `ownerBytes`. */
  readonly owner: Buffer;
  readonly partition: number;
  /** 0 for the cell itself, else the number of a correction in its partition. */
  readonly correction: number;
  readonly count: bigint;
  readonly micro: bigint;
  readonly sketch: Buffer | null;
}

export interface Inserted {
  readonly inserted: number;
  /** Rows that were there already with other numbers, and stay as they were. */
  readonly differing: readonly CellRow[];
}

/** Rows deleted in one transaction. */
const DELETED_AT_ONCE = 10_000;

const COLUMNS = "generation, window_s, bucket, owner, owner_long, partition, correction, count, micro, sketch";
const GIVEN = `unnest($1::int[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::smallint[], $7::bigint[],
  $8::bigint[], $9::numeric[], $10::bytea[]) AS given (${COLUMNS})`;

/** Writes cold storage. Every method may be called again with the same arguments, by anybody, at any time. */
export class ColdStore {
  readonly #database: Database;
  readonly #stretches: Stretches;

  constructor(database: Database) {
    this.#database = database;
    this.#stretches = new Stretches(database);
  }

  /** Writes rows, all or none of them; those that are there already stay as they are. */
  async insertCells(rows: readonly CellRow[]): Promise<Inserted> {
    await this.#stretches.ensure(stretchesOf(rows));
    // In one order, so that two who write the same rows wait for each other and never in a circle.
    const sorted = [...rows].sort(comparePrimaryKeys);
    try {
      return await this.#database.transaction((query) => insert(query, sorted));
    } catch (error) {
      // 23514: no table partition for a row, since somebody has dropped it after it was made.
      if ((error as { code?: string }).code === "23514") this.#stretches.forget();
      throw error;
    }
  }

  /** Removes a counter's buckets of one window that begin before `before`, ms; whole table partitions where possible. */
  async dropBefore(generation: number, windowMs: number, before: number): Promise<void> {
    const stretches = await this.#database.transaction((query) => listStretches(query, windowMs));
    for (const stretch of stretches.filter(({ from }) => from < before)) {
      await this.#clear(stretch, generation, Math.min(before, stretch.to));
    }
  }

  /** Removes all rows of a counter. */
  async deleteGeneration(generation: number): Promise<void> {
    const windows = await this.#database.query<{ window_s: number }>(
      "SELECT DISTINCT window_s FROM cells WHERE generation = $1",
      [generation],
    );
    for (const { window_s } of windows) await this.dropBefore(generation, window_s * 1_000, Number.MAX_SAFE_INTEGER);
  }

  async #clear(stretch: Stretch, generation: number, before: number): Promise<void> {
    const table = tableOf(stretch);
    const [other] = await this.#database.query(`SELECT FROM ${table} WHERE generation <> $1 OR bucket >= $2 LIMIT 1`, [
      generation,
      before,
    ]);
    if (!other) {
      this.#stretches.forget();
      await this.#database.transaction(async (query) => {
        // Whoever reads keeps this waiting, and whoever reads next waits behind it: rather try again later.
        await query("SET LOCAL lock_timeout = '2s'");
        await query("LOCK TABLE cells IN ACCESS EXCLUSIVE MODE");
        const [found] = await query(`SELECT FROM ${table} WHERE generation <> $1 OR bucket >= $2 LIMIT 1`, [
          generation,
          before,
        ]);
        if (!found) await query(`DROP TABLE ${table}`);
      });
      return;
    }
    const some = `SELECT ctid FROM ${table} WHERE generation = $1 AND bucket < $2 LIMIT ${DELETED_AT_ONCE}`;
    for (let deleted = DELETED_AT_ONCE; deleted === DELETED_AT_ONCE; ) {
      const rows = await this.#database.transaction((query) =>
        query(`DELETE FROM ${table} WHERE ctid = ANY(ARRAY(${some})) RETURNING 1`, [generation, before]),
      );
      deleted = rows.length;
    }
  }
}

function stretchesOf(rows: readonly CellRow[]): Stretch[] {
  const byTable = new Map<string, Stretch>();
  for (const { windowMs, start } of rows) {
    const stretch = stretchOf(windowMs, start);
    byTable.set(tableOf(stretch), stretch);
  }
  return [...byTable.values()];
}

function comparePrimaryKeys(a: CellRow, b: CellRow): number {
  return (
    a.generation - b.generation ||
    a.windowMs - b.windowMs ||
    Buffer.compare(a.owner, b.owner) ||
    a.start - b.start ||
    a.partition - b.partition ||
    a.correction - b.correction
  );
}

async function insert(query: Query, rows: readonly CellRow[]): Promise<Inserted> {
  const columns = [
    rows.map((row) => row.generation),
    rows.map((row) => row.windowMs / 1_000),
    rows.map((row) => row.start),
    rows.map((row) => indexedOwner(row.owner)),
    rows.map((row) => longOwner(row.owner)),
    rows.map((row) => row.partition),
    rows.map((row) => row.correction),
    rows.map((row) => row.count),
    rows.map((row) => row.micro),
    rows.map((row) => row.sketch),
  ];
  const text = `WITH written AS (
      INSERT INTO cells (${COLUMNS}) SELECT ${COLUMNS} FROM ${GIVEN} ON CONFLICT DO NOTHING RETURNING 1
    ) SELECT count(*) AS written FROM written`;
  const [answer] = await query<{ written: string }>(text, columns);
  const inserted = Number(answer?.written);
  return { inserted, differing: inserted < rows.length ? await findDiffering(query, rows, columns) : [] };
}

async function findDiffering(query: Query, rows: readonly CellRow[], columns: unknown[]): Promise<CellRow[]> {
  const text = `SELECT given.ordinality FROM ${GIVEN.replace(" AS given", " WITH ORDINALITY AS given").replace(
    "sketch)",
    "sketch, ordinality)",
  )} JOIN cells USING (generation, window_s, owner, bucket, partition, correction)
    WHERE (given.count, given.micro, given.sketch) IS DISTINCT FROM (cells.count, cells.micro, cells.sketch)`;
  const found = await query<{ ordinality: string }>(text, columns);
  return found.map(({ ordinality }) => rows[Number(ordinality) - 1] as CellRow);
}
