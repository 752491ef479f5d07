import type { Query } from "./database.ts";
import { indexedOwner, longOwner } from "./owners.ts";
import type { CellRow, Inserted } from "./store.ts";
import { forEach } from "./stretches.ts";

/**
 * Rows and bytes written by one statement, or a little more: the embedded Postgres takes the square of the time for a
 * statement of several times as many bytes.
 */
const ROWS_AT_ONCE = 5_000;
const BYTES_AT_ONCE = 1024 * 1024;

const COLUMNS = "generation, window_s, bucket, owner, owner_long, partition, correction, count, micro, sketch";
const GIVEN = `unnest($1::int[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::smallint[], $7::bigint[],
  $8::bigint[], $9::numeric[], $10::bytea[]) AS given (${COLUMNS})`;

/** As many rows as one statement writes, at a time. */
export function* slicesOf(rows: readonly CellRow[]): Generator<CellRow[]> {
  let [slice, bytes]: [CellRow[], number] = [[], 0];
  for (const row of rows) {
    slice.push(row);
    bytes += row.owner.length + (row.sketch?.length ?? 0);
    if (slice.length < ROWS_AT_ONCE && bytes < BYTES_AT_ONCE) continue;
    yield slice;
    [slice, bytes] = [[], 0];
  }
  if (slice.length > 0) yield slice;
}

/** The order of the primary key. */
export function comparePrimaryKeys(a: CellRow, b: CellRow): number {
  return (
    a.generation - b.generation ||
    a.windowMs - b.windowMs ||
    Buffer.compare(a.owner, b.owner) ||
    a.start - b.start ||
    a.partition - b.partition ||
    a.correction - b.correction
  );
}

/** Writes rows that are not there yet. */
export async function insertRows(query: Query, rows: readonly CellRow[]): Promise<Inserted> {
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
  return { inserted, differing: inserted < rows.length ? await findDiffering(query, rows) : [] };
}

interface StoredRow {
  readonly owner: Buffer;
  readonly bucket: string;
  readonly partition: number;
  readonly correction: string;
  readonly count: string;
  readonly micro: string;
  readonly sketch: Buffer | null;
}

/** Those that are stored with other content. Compared here: a join, planned without statistics, may take minutes. */
async function findDiffering(query: Query, rows: readonly CellRow[]): Promise<CellRow[]> {
  const differing: CellRow[] = [];
  for (const group of groupsOf(rows, ({ generation, windowMs }) => `${generation} ${windowMs}`)) {
    const [{ generation, windowMs }] = group as [CellRow];
    const starts = group.map(({ start }) => start);
    const rows = `(SELECT * FROM cells WHERE generation = ${generation} AND window_s = ${windowMs / 1_000}
      AND bucket >= ${Math.min(...starts)} AND bucket <= ${Math.max(...starts)} AND owner = wanted.name) AS found`;
    const text = `SELECT owner, bucket, partition, correction, count, micro, sketch FROM ${forEach("$1", rows)}`;
    const owners = group.map(({ owner }) => indexedOwner(owner));
    const stored = new Map((await query<StoredRow>(text, [owners])).map((row) => [nameOf(row), row]));
    for (const [i, row] of group.entries()) {
      const { start, partition, correction } = row;
      const found = stored.get(nameOf({ owner: owners[i] as Buffer, bucket: start, partition, correction }));
      if (found && !isSame(row, found)) differing.push(row);
    }
  }
  return differing;
}

function groupsOf(rows: readonly CellRow[], nameOf: (row: CellRow) => string): Iterable<CellRow[]> {
  const groups = new Map<string, CellRow[]>();
  for (const row of rows) {
    const group = groups.get(nameOf(row));
    if (group) group.push(row);
    else groups.set(nameOf(row), [row]);
  }
  return groups.values();
}

function nameOf(row: { owner: Buffer; bucket: string | number; partition: number; correction: string | number }) {
  return `${row.bucket} ${row.partition} ${row.correction} ${row.owner.toString("latin1")}`;
}

function isSame(row: CellRow, stored: StoredRow): boolean {
  const { sketch } = stored;
  const isSameSketch = row.sketch && sketch ? row.sketch.equals(sketch) : row.sketch === sketch;
  return row.count === BigInt(stored.count) && row.micro === BigInt(stored.micro) && isSameSketch;
}
