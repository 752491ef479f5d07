import { parseEntryId } from "../redis/entry-id.ts";
import type { LedgerName } from "../redis/keys.ts";
import type { Query } from "./database.ts";

/** One partition's late ledger or dead letters. */
export interface LedgerAt {
  readonly partition: number;
  readonly ledger: LedgerName;
}

/** An archived entry of a ledger. */
export interface LedgerRow {
  /** Of its entry in Redis, "ms-seq". */
  readonly id: string;
  /** Of the counter that the event was late for; 0 for a dead letter. */
  readonly generation: number;
  /** Of a late event, ms. */
  readonly watermark: string | null;
  /** Of a dead letter. */
  readonly reason: Buffer | null;
  /** Of a dead letter: the entry of the partition's stream that it was part of. */
  readonly entry: string | null;
  readonly payload: Buffer;
}

export interface NumberedRow {
  readonly number: number;
  readonly generation: number;
  readonly payload: Buffer;
}

/** Rows deleted in one transaction. */
const DELETED_AT_ONCE = 10_000;

/** After so long nothing sets Redis back to before it took an entry, which could then be given again. */
const NUMBERED_KEPT = "10 minutes";

const OF_LEDGER = "partition = $1 AND ledger = $2";

/**
 * Holds the ledger until the transaction ends. Answers the last number given, or `atLeast`: numbers that Redis has seen
 * are never given again, even by a database that an old backup has set back.
 */
export async function lockLedger(query: Query, { partition, ledger }: LedgerAt, atLeast: number): Promise<number> {
  const text = `INSERT INTO ledgers (partition, ledger, number) VALUES ($1, $2, $3)
    ON CONFLICT (partition, ledger) DO UPDATE SET number = greatest(ledgers.number, excluded.number) RETURNING number`;
  const [row] = await query<{ number: string }>(text, [partition, ledger, atLeast]);
  return Number(row?.number);
}

/** Waits until whoever holds a ledger now has let it go. */
export async function awaitLedgers(query: Query): Promise<void> {
  await query("LOCK TABLE ledgers IN SHARE ROW EXCLUSIVE MODE");
}

/** Writes entries that are not there yet; answers how many that were. */
export async function insertEntries(
  query: Query,
  { partition, ledger }: LedgerAt,
  rows: readonly LedgerRow[],
): Promise<number> {
  const columns = "ms, seq, generation, watermark, reason, entry, payload";
  const ids = rows.map(({ id }) => parseEntryId(id));
  const written = await query(
    `INSERT INTO ledger_entries (partition, ledger, ${columns}) SELECT $1, $2, ${columns}
      FROM unnest($3::bigint[], $4::bigint[], $5::int[], $6::bigint[], $7::bytea[], $8::text[], $9::bytea[])
      AS given (${columns}) ON CONFLICT DO NOTHING RETURNING 1`,
    [
      partition,
      ledger,
      ids.map(({ ms }) => ms),
      ids.map(({ seq }) => seq),
      rows.map(({ generation }) => generation),
      rows.map(({ watermark }) => watermark),
      rows.map(({ reason }) => reason),
      rows.map(({ entry }) => entry),
      rows.map(({ payload }) => payload),
    ],
  );
  return written.length;
}

/** Entries that wait, of a counter or (0) dead letters, after an id, oldest first. */
export async function listWaiting(
  query: Query,
  { partition, ledger }: LedgerAt,
  generation: number,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<LedgerRow[]> {
  const { ms, seq } = parseEntryId(after);
  return query<LedgerRow>(
    `SELECT ms || '-' || seq AS id, generation, watermark, reason, entry, payload FROM ledger_entries
      WHERE ${OF_LEDGER} AND generation = $3 AND (ms, seq) > ($4, $5) AND number IS NULL ORDER BY ms, seq LIMIT $6`,
    [partition, ledger, generation, ms, seq, limit],
  );
}

/** Numbers those of the entries that wait, from `last` on; answers how many did. The caller holds the ledger. */
export async function numberEntries(
  query: Query,
  { partition, ledger }: LedgerAt,
  ids: readonly string[],
  last: number,
): Promise<number> {
  const parsed = ids.map(parseEntryId);
  // Looked up one by one: without statistics, a join would rather read the whole table. And whether they wait is asked
  // last, so that Postgres does not take the index of those that do, which it would have to read from end to end.
  const waiting = `SELECT found.ctid FROM unnest($4::bigint[], $5::bigint[]) AS wanted (ms, seq), LATERAL (
      SELECT ctid, number FROM ledger_entries AS entry
      WHERE ${OF_LEDGER} AND entry.ms = wanted.ms AND entry.seq = wanted.seq OFFSET 0) AS found WHERE number IS NULL`;
  const numbered = await query(
    `UPDATE ledger_entries SET number = $3::bigint + array_position($6::text[], ms || '-' || seq), numbered_at = now()
      WHERE ctid = ANY(ARRAY(${waiting})) RETURNING 1`,
    [partition, ledger, last, parsed.map(({ ms }) => ms), parsed.map(({ seq }) => seq), ids],
  );
  await query(`UPDATE ledgers SET number = $3 WHERE ${OF_LEDGER}`, [partition, ledger, last + ids.length]);
  return numbered.length;
}

/** Entries numbered after `after`, in the order of their numbers. */
export async function listNumbered(
  query: Query,
  { partition, ledger }: LedgerAt,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<NumberedRow[]> {
  const rows = await query<{ number: string; generation: number; payload: Buffer }>(
    `SELECT number, generation, payload FROM ledger_entries WHERE ${OF_LEDGER} AND number > $3
      ORDER BY number LIMIT $4`,
    [partition, ledger, after, limit],
  );
  return rows.map(({ number, ...row }) => ({ ...row, number: Number(number) }));
}

/** Removes entries that went back some time ago; answers how many. To be called until it answers 0. */
export async function deleteNumbered(query: Query, { partition, ledger }: LedgerAt, upTo: number): Promise<number> {
  const condition = `${OF_LEDGER} AND number <= $3 AND numbered_at < now() - interval '${NUMBERED_KEPT}'`;
  return deleteSome(query, condition, [partition, ledger, upTo]);
}

/** Removes entries that wait for a counter; answers how many. To be called until it answers 0. */
export async function deleteWaiting(
  query: Query,
  { partition, ledger }: LedgerAt,
  generation: number,
): Promise<number> {
  return deleteSome(query, `${OF_LEDGER} AND generation = $3 AND number IS NULL`, [partition, ledger, generation]);
}

async function deleteSome(query: Query, condition: string, params: readonly unknown[]): Promise<number> {
  const slice = `SELECT ctid FROM ledger_entries WHERE ${condition} LIMIT ${DELETED_AT_ONCE}`;
  const deleted = await query(`DELETE FROM ledger_entries WHERE ctid = ANY(ARRAY(${slice})) RETURNING 1`, params);
  return deleted.length;
}
