import type { Database, Query } from "./database.ts";
import { comparePrimaryKeys, insertRows, slicesOf } from "./store-rows.ts";
import { IS_KEY, listStretches, type Stretch, Stretches, stretchOf, tableOf } from "./stretches.ts";

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
    // In one order, so that two who write the same rows wait for each other and never in a circle.
    const sorted = [...rows].sort(comparePrimaryKeys);
    try {
      return await this.#write(sorted);
    } catch (error) {
      if (stateOf(error) !== NO_TABLE_FOR_ROW) throw error;
      this.#stretches.forget();
      return this.#write(sorted);
    }
  }

  async #write(rows: readonly CellRow[]): Promise<Inserted> {
    await this.#stretches.ensure(stretchesOf(rows));
    return this.#database.transaction(async (query) => {
      let inserted = 0;
      const differing: CellRow[] = [];
      for (const some of slicesOf(rows)) {
        const written = await insertRows(query, some);
        inserted += written.inserted;
        differing.push(...written.differing);
      }
      return { inserted, differing };
    });
  }

  /** Removes a counter's buckets of one window that begin before `before`, ms; whole table partitions where possible. */
  async dropBefore(generation: number, windowMs: number, before: number): Promise<void> {
    const stretches = await this.#database.transaction(listStretches);
    for (const stretch of stretches.filter(({ windowS, from }) => windowS * 1_000 === windowMs && from < before)) {
      await this.#clear(stretch, generation, before);
    }
  }

  /** Removes all rows of a counter. */
  async deleteGeneration(generation: number): Promise<void> {
    const stretches = await this.#database.transaction(listStretches);
    for (const stretch of stretches) await this.#clear(stretch, generation, stretch.to);
  }

  async #clear(stretch: Stretch, generation: number, before: number): Promise<void> {
    try {
      if (await this.#dropTable(stretch, generation, before)) return;
      await this.#deleteRows(stretch, generation, before);
    } catch (error) {
      // Somebody else has dropped it meanwhile.
      if (stateOf(error) !== UNDEFINED_TABLE) throw error;
    }
  }

  /** Answers whether it could: not where anything else lies in the table. */
  async #dropTable(stretch: Stretch, generation: number, before: number): Promise<boolean> {
    const holdsOthers = (query: Query) => holdsOther(query, stretch, generation, before);
    if (await this.#database.transaction(holdsOthers)) return false;
    this.#stretches.forget();
    return this.#database.transaction(async (query) => {
      // Whoever reads keeps this waiting, and whoever reads next waits behind it: rather try again later.
      await query("SET LOCAL lock_timeout = '2s'");
      await query("LOCK TABLE ONLY cells IN ACCESS EXCLUSIVE MODE");
      if (await holdsOthers(query)) return false;
      await query(`DROP TABLE ${tableOf(stretch)}`);
      return true;
    });
  }

  async #deleteRows(stretch: Stretch, generation: number, before: number): Promise<void> {
    const table = tableOf(stretch);
    for (const some of EVERYBODY) {
      const slice = `SELECT ctid FROM ${table} WHERE generation = $1 AND window_s = ${stretch.windowS} AND bucket < $2
        AND ${some} LIMIT ${DELETED_AT_ONCE}`;
      for (let deleted = DELETED_AT_ONCE; deleted === DELETED_AT_ONCE; ) {
        const rows = await this.#database.transaction((query) =>
          query(`DELETE FROM ${table} WHERE ctid = ANY(ARRAY(${slice})) RETURNING 1`, [generation, before]),
        );
        deleted = rows.length;
      }
    }
  }
}

/** All owners, in parts of which each has an index by bucket. */
const EVERYBODY = [IS_KEY, "owner = 't'", "owner = 'o'"];

/** SQLSTATEs. */
const NO_TABLE_FOR_ROW = "23514";
const UNDEFINED_TABLE = "42P01";

function stateOf(error: unknown): unknown {
  return (error as { readonly code?: unknown }).code;
}

/** Whether a table holds anything but a counter's buckets before `before`; a few looks at the ends of indexes. */
async function holdsOther(query: Query, stretch: Stretch, generation: number, before: number): Promise<boolean> {
  const table = tableOf(stretch);
  const mine = `FROM ${table} WHERE generation = $1 AND window_s = ${stretch.windowS}`;
  const newest = EVERYBODY.map((some) => `(SELECT max(bucket) ${mine} AND ${some})`);
  const text = `SELECT FROM (SELECT min(generation) AS first, max(generation) AS last FROM ${table}) AS ends
    WHERE first < $1 OR last > $1 OR greatest(${newest}) >= $2`;
  return (await query(text, [generation, before])).length > 0;
}

function stretchesOf(rows: readonly CellRow[]): Stretch[] {
  const byTable = new Map<string, Stretch>();
  for (const { windowMs, start } of rows) {
    const stretch = stretchOf(windowMs, start);
    byTable.set(tableOf(stretch), stretch);
  }
  return [...byTable.values()];
}
