import type { Database } from "./database.ts";
import { indexedBound, indexedOwner } from "./owners.ts";
import { forEach, IS_KEY } from "./stretches.ts";

/** Buckets of one window that begin in `[from, to)`, ms, of some partitions. */
export interface ColdSpan {
  readonly windowMs: number;
  readonly from: number;
  readonly to: number;
  readonly partitions: readonly number[];
}

export interface ColdTotal {
  readonly owner: Buffer;
  readonly count: bigint;
  readonly micro: bigint;
}

interface TotalRow {
  readonly owner: Buffer;
  readonly count: string;
  readonly micro: string;
}

/** The first byte of owners that are keys. */
const KEY = Buffer.from("k");
/** Of the digest that a long owner ends in. */
const DIGEST_BYTES = 32;
const FULL = "coalesce(owner_long, owner)";
const OWNER = `${FULL} AS owner`;

/**
 * Rows of a counter in some spans. One select for each, with its numbers as literals, so that Postgres leaves out the
 * tables that are not concerned when it plans, and takes an index for each of the others.
 */
function rowsOf(generation: number, spans: readonly ColdSpan[], columns: string, condition: string): string {
  const selects = spans.map(
    ({ windowMs, from, to, partitions }) =>
      `SELECT ${columns} FROM cells WHERE generation = ${generation} AND window_s = ${windowMs / 1_000}
         AND bucket >= ${from} AND bucket < ${to} AND partition IN (${partitions.join(",")}) AND ${condition}`,
  );
  return `(${selects.join(" UNION ALL ")}) AS found`;
}

/** Totals over all spans of each owner that has any, by its bytes as latin1 text. */
export async function sumCold(
  database: Database,
  generation: number,
  owners: readonly Buffer[],
  spans: readonly ColdSpan[],
  signal?: AbortSignal,
): Promise<Map<string, { count: bigint; micro: bigint }>> {
  // What the index holds, and no more: see the primary key.
  const rows = rowsOf(generation, spans, "owner, count, micro", "owner = wanted.name");
  const text = `SELECT owner, sum(count) AS count, sum(micro) AS micro FROM ${forEach("$1", rows)} GROUP BY owner`;
  const indexed = owners.map(indexedOwner);
  const found = await database.query<TotalRow>(text, [indexed], { signal });
  const names = new Map(indexed.map((name, i) => [name.toString("latin1"), (owners[i] as Buffer).toString("latin1")]));
  return new Map(
    found.map(({ owner, count, micro }) => [
      names.get(owner.toString("latin1")) as string,
      { count: BigInt(count), micro: BigInt(micro) },
    ]),
  );
}

/** The buckets of an owner that hold anything, in no order. */
export async function seriesCold(
  database: Database,
  generation: number,
  owner: Buffer,
  spans: readonly ColdSpan[],
  signal?: AbortSignal,
): Promise<{ start: number; count: bigint; micro: bigint }[]> {
  const rows = rowsOf(generation, spans, "bucket, count, micro", "owner = $1");
  const text = `SELECT bucket, sum(count) AS count, sum(micro) AS micro FROM ${rows} GROUP BY bucket`;
  const found = await database.query<{ bucket: string; count: string; micro: string }>(text, [indexedOwner(owner)], {
    signal,
  });
  return found.map(({ bucket, count, micro }) => ({
    start: Number(bucket),
    count: BigInt(count),
    micro: BigInt(micro),
  }));
}

/** The sketches of an owner, each with the start of its bucket, in no order; a bucket may have several. */
export async function sketchesCold(
  database: Database,
  generation: number,
  owner: Buffer,
  spans: readonly ColdSpan[],
  signal?: AbortSignal,
): Promise<{ start: number; sketch: Buffer }[]> {
  const rows = rowsOf(generation, spans, "bucket, sketch", "owner = $1 AND sketch IS NOT NULL");
  const text = `SELECT bucket, sketch FROM ${rows}`;
  const found = await database.query<{ bucket: string; sketch: Buffer }>(text, [indexedOwner(owner)], { signal });
  return found.map(({ bucket, sketch }) => ({ start: Number(bucket), sketch }));
}

const toTotal = ({ owner, count, micro }: TotalRow): ColdTotal => ({
  owner,
  count: BigInt(count),
  micro: BigInt(micro),
});

/** The keys with the largest totals over all spans, largest first, ties by owner. */
export async function topCold(
  database: Database,
  generation: number,
  spans: readonly ColdSpan[],
  { limit, by }: { readonly limit: number; readonly by: "count" | "sum" },
  signal?: AbortSignal,
): Promise<ColdTotal[]> {
  const rows = rowsOf(generation, spans, "owner, owner_long, count, micro", IS_KEY);
  const text = `SELECT ${OWNER}, sum(count) AS count, sum(micro) AS micro FROM ${rows}
    GROUP BY found.owner, owner_long ORDER BY ${by === "count" ? 2 : 3} DESC, 1 LIMIT $1`;
  return (await database.query<TotalRow>(text, [limit], { signal })).map(toTotal);
}

/** Totals of all keys over all spans, a page of them in the index's order; `after`: the last owner of the page before. */
export async function totalsCold(
  database: Database,
  generation: number,
  spans: readonly ColdSpan[],
  { after, limit }: { readonly after: Buffer | null; readonly limit: number },
  signal?: AbortSignal,
): Promise<ColdTotal[]> {
  const rows = rowsOf(generation, spans, "owner, owner_long, count, micro", `${IS_KEY} AND owner > $1`);
  const text = `SELECT ${OWNER}, sum(count) AS count, sum(micro) AS micro FROM ${rows}
    GROUP BY found.owner, owner_long ORDER BY found.owner LIMIT $2`;
  const params = [after === null ? Buffer.alloc(0) : indexedOwner(after), limit];
  return (await database.query<TotalRow>(text, params, { signal })).map(toTotal);
}

/**
 * The first distinct keys (without the owner's first byte) that begin with `prefix` and come after `after`, in no
 * particular order.
 */
export async function keysCold(
  database: Database,
  generation: number,
  spans: readonly ColdSpan[],
  { prefix, after, limit }: { readonly prefix: Buffer; readonly after: Buffer | null; readonly limit: number },
  signal?: AbortSignal,
): Promise<Buffer[]> {
  const first = Buffer.concat([KEY, prefix]);
  const last = after === null ? Buffer.alloc(0) : Buffer.concat([KEY, after]);
  const page = async (order: "owner" | "full_owner", from: Buffer, to: Buffer): Promise<Buffer[]> => {
    const rows = rowsOf(generation, spans, `owner, ${FULL} AS full_owner`, "owner >= $1 AND owner < $2");
    // The index narrows it down; of long owners, only the full text tells.
    const text = `SELECT DISTINCT ON (${order}) full_owner FROM ${rows}
      WHERE full_owner >= $3 AND full_owner < $4 AND full_owner > $5 ORDER BY ${order} LIMIT $6`;
    const params = [from, endOf(to), first, endOf(first), last, limit];
    const found = await database.query<{ full_owner: Buffer }>(text, params, { signal });
    return found.map(({ full_owner }) => full_owner);
  };
  const keysOf = (owners: readonly Buffer[]) => owners.map((owner) => owner.subarray(KEY.length));
  const [beginning, bound] = [indexedBound(first), indexedBound(last)];
  const owners = await page("owner", Buffer.compare(beginning, bound) > 0 ? beginning : bound, beginning);
  const end = owners.at(-1);
  if (!end || owners.length < limit || indexedBound(end) === end) return keysOf(owners);
  // The page ends among long owners that begin alike, which are in no order in the index: which of them come first?
  const alike = indexedBound(end);
  const before = owners.filter((owner) => !owner.subarray(0, alike.length).equals(alike));
  return keysOf([...before, ...(await page("full_owner", alike, alike))].slice(0, limit));
}

/** After everything that begins so, be it text or a digest. */
function endOf(beginning: Buffer): Buffer {
  return Buffer.concat([beginning, Buffer.alloc(DIGEST_BYTES + 1, 0xff)]);
}
