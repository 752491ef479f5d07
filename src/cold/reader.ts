import type { Database } from "./database.ts";
import { indexedBound, indexedOwner } from "./owners.ts";

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

/** The first byte of owners that are keys, and of all that come after them. */
const [KEY, BEYOND_KEYS] = [Buffer.from("k"), Buffer.from("l")];
/** In no UTF-8 text, so it sorts after whatever follows a prefix. */
const LAST_BYTE = Buffer.from([0xff]);
const OWNER = "coalesce(owner_long, owner) AS owner";

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
  const rows = rowsOf(generation, spans, "owner, owner_long, count, micro", "owner = ANY($1::bytea[])");
  const text = `SELECT ${OWNER}, sum(count) AS count, sum(micro) AS micro FROM ${rows} GROUP BY owner, owner_long`;
  const found = await database.query<TotalRow>(text, [owners.map(indexedOwner)], { signal });
  return new Map(
    found.map(({ owner, count, micro }) => [owner.toString("latin1"), { count: BigInt(count), micro: BigInt(micro) }]),
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

const isKey = `owner >= '\\x${KEY.toString("hex")}' AND owner < '\\x${BEYOND_KEYS.toString("hex")}'`;

/** The keys with the largest totals over all spans, largest first, ties by owner. */
export async function topCold(
  database: Database,
  generation: number,
  spans: readonly ColdSpan[],
  { limit, by }: { readonly limit: number; readonly by: "count" | "sum" },
  signal?: AbortSignal,
): Promise<ColdTotal[]> {
  const rows = rowsOf(generation, spans, "owner, owner_long, count, micro", isKey);
  const text = `SELECT ${OWNER}, sum(count) AS count, sum(micro) AS micro FROM ${rows}
    GROUP BY found.owner, owner_long ORDER BY ${by === "count" ? 2 : 3} DESC, found.owner LIMIT $1`;
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
  const rows = rowsOf(generation, spans, "owner, owner_long, count, micro", `${isKey} AND owner > $1`);
  const text = `SELECT ${OWNER}, sum(count) AS count, sum(micro) AS micro FROM ${rows}
    GROUP BY found.owner, owner_long ORDER BY found.owner LIMIT $2`;
  const params = [after === null ? Buffer.alloc(0) : indexedOwner(after), limit];
  return (await database.query<TotalRow>(text, params, { signal })).map(toTotal);
}

/** Distinct keys (without the owner's first byte) that begin with `prefix` and come after `after`, in the index's order. */
export async function keysCold(
  database: Database,
  generation: number,
  spans: readonly ColdSpan[],
  { prefix, after, limit }: { readonly prefix: Buffer; readonly after: Buffer | null; readonly limit: number },
  signal?: AbortSignal,
): Promise<Buffer[]> {
  const from = indexedBound(Buffer.concat([KEY, prefix]));
  const rows = rowsOf(generation, spans, "owner, owner_long", "owner >= $1 AND owner < $2 AND owner > $3");
  const text = `SELECT DISTINCT ON (found.owner) ${OWNER} FROM ${rows} ORDER BY found.owner LIMIT $4`;
  const found: Buffer[] = [];
  let bound = after === null ? Buffer.alloc(0) : indexedBound(Buffer.concat([KEY, after]));
  // Long keys that begin like the bound come again, and some have another ending than the prefix asks for.
  for (;;) {
    const params = [from, Buffer.concat([from, LAST_BYTE]), bound, limit];
    const page = (await database.query<{ owner: Buffer }>(text, params, { signal })).map(({ owner }) => owner);
    for (const key of page.map((owner) => owner.subarray(1))) {
      const isWanted = key.subarray(0, prefix.length).equals(prefix) && (!after || Buffer.compare(key, after) > 0);
      if (isWanted) found.push(key);
    }
    if (page.length < limit || found.length >= limit) return found;
    bound = indexedOwner(page.at(-1) as Buffer) as Buffer<ArrayBuffer>;
  }
}
