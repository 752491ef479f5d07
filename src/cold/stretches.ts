import type { Database, Query } from "./database.ts";

const DAY_MS = 86_400_000;
/** Any number that nobody else's advisory lock uses. */
const LOCK = 7_240_052;

/** Rows of keys, in the words of the index by bucket, which otherwise is not taken. */
export const IS_KEY = "substr(owner, 1, 1) = '\\x6b'";

/**
 * The rows that a query finds for each `wanted.name` of an array of owners. OFFSET keeps Postgres from making a join of
 * it, for which, without statistics, it would rather read a whole table than look every owner up.
 */
export function forEach(owners: string, rows: string): string {
  return `(SELECT DISTINCT unnest(${owners}::bytea[]) AS name) AS wanted, LATERAL (SELECT * FROM ${rows} OFFSET 0) AS rows`;
}

/** A table partition: buckets of one window that begin in `[from, to)`, ms. */
export interface Stretch {
  readonly windowS: number;
  readonly from: number;
  readonly to: number;
}

/** How much time one table partition holds: about as many buckets for narrow windows as for wide ones. */
function stretchMs(windowMs: number): number {
  return DAY_MS * (windowMs <= 60_000 ? 1 : windowMs <= 3_600_000 ? 32 : 1_024);
}

export function stretchOf(windowMs: number, start: number): Stretch {
  const ms = stretchMs(windowMs);
  const from = start - (start % ms);
  return { windowS: windowMs / 1_000, from, to: from + ms };
}

export function tableOf({ windowS, from }: Stretch): string {
  return `cells_${windowS}_${from / DAY_MS}`;
}

/** All table partitions, oldest first. */
export async function listStretches(query: Query): Promise<Stretch[]> {
  const rows = await query<{ name: string }>(
    "SELECT relname AS name FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'cells'::regclass",
  );
  return rows
    .map(({ name }) => /^cells_(\d+)_(\d+)$/.exec(name))
    .filter((match) => match !== null)
    .map(([, windowS, day]) => stretchOf(Number(windowS) * 1_000, Number(day) * DAY_MS))
    .sort((a, b) => a.from - b.from);
}

/** Makes table partitions on demand, once for all processes. */
export class Stretches {
  readonly #database: Database;
  readonly #known = new Set<string>();

  constructor(database: Database) {
    this.#database = database;
  }

  async ensure(stretches: readonly Stretch[]): Promise<void> {
    for (const stretch of stretches) {
      const table = tableOf(stretch);
      if (this.#known.has(table)) continue;
      await this.#database.transaction((query) => make(query, stretch));
      this.#known.add(table);
    }
  }

  /** One of them was dropped: what is known may be wrong. */
  forget(): void {
    this.#known.clear();
  }
}

/** Attaching a table, unlike creating it as a partition, lets reads go on meanwhile. */
async function make(query: Query, stretch: Stretch): Promise<void> {
  const table = tableOf(stretch);
  const { windowS, from, to } = stretch;
  await query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
  const [found] = await query("SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1)", [table]);
  if (found) return;
  await query(`CREATE TABLE ${table} (LIKE cells INCLUDING ALL)`);
  await query(
    `ALTER TABLE cells ATTACH PARTITION ${table} FOR VALUES FROM (${windowS}, ${from}) TO (${windowS}, ${to})`,
  );
}
