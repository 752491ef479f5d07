import { type BoardTops, readBoardTops } from "../buckets/boards.ts";
import { type Cell, readSums, sumCells } from "../buckets/cells.ts";
import { readIndexedKeys } from "../buckets/indexes.ts";
import type { Counter } from "../core/counter.ts";
import { compareCodePoints } from "../core/key.ts";
import { BOARD_SIZE } from "../core/limits.ts";
import type { Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { PartitionKeys } from "../redis/keys.ts";

export interface RankRequest {
  readonly client: RedisClient;
  readonly partitions: readonly PartitionKeys[];
  readonly counter: Counter;
  readonly ranges: readonly Range[];
  readonly limit: number;
  readonly by: "count" | "sum";
}

export interface Ranked {
  readonly key: string;
  readonly cell: Cell;
}

/** Keys whose totals are read in one go. */
const TOTALS_AT_ONCE = 1_000;
/** How deep the first look at each board goes, and how much deeper each further one. */
const DEPTH_MIN = 32;
const DEPTH_FACTOR = 8;

/**
 * The exact top keys of the ranges together, largest first, ties by key.
 *
 * Boards hold counts of single buckets, so the ranking of a span is found by the threshold algorithm (Fagin, Lotem,
 * Naor: "Optimal aggregation algorithms for middleware", 2001): the best of every board are candidates, their exact
 * totals are read, and what no board showed cannot exceed the sum of the smallest counts seen. Sums can fall, so no
 * board can rank them, and every key is read.
 */
export async function rankKeys(request: RankRequest): Promise<Ranked[]> {
  const { counter, by } = request;
  if (counter.by.length === 0) return rankSingle(request);
  return (by === "count" && (await rankByBoards(request))) || rankByIndexes(request);
}

/** A counter by no field has one key, which is its total. */
async function rankSingle({ client, partitions, counter, ranges }: RankRequest): Promise<Ranked[]> {
  const [cell] = await readSums(client, partitions, counter, ["total"], ranges);
  return cell && cell.count > 0n ? [{ key: "", cell }] : [];
}

/** `null` when even whole boards leave room for a key that none of them shows. */
async function rankByBoards(request: RankRequest): Promise<Ranked[] | null> {
  const { client, partitions, counter, ranges, limit } = request;
  for (let depth = Math.max(DEPTH_MIN, 2 * limit); ; depth *= DEPTH_FACTOR) {
    const tops = await readBoardTops(client, partitions, counter, ranges, Math.min(depth, BOARD_SIZE));
    if (tops.unseenMax === 0) return rankSeen(request, tops);
    if (canSettle(tops, limit)) {
      const ranked = best(request, await readTotals(request, partitions, [...tops.seen.keys()]));
      // An unseen key that ties with the last one could still come before it by its text, so equal is not enough.
      if ((ranked[limit - 1]?.cell.count ?? 0n) > BigInt(tops.unseenMax)) return ranked;
    }
    if (tops.exhausted) return null;
  }
}

/** Whether reading totals may settle the ranking: `limit` candidates could have more than any unseen key. */
function canSettle({ seen }: BoardTops, limit: number): boolean {
  let able = 0;
  for (const { count, floors } of seen.values()) if (count > floors && ++able >= limit) return true;
  return false;
}

/** The boards showed every key, so their counts are the totals; only sums are still to be read. */
async function rankSeen(request: RankRequest, { seen }: BoardTops): Promise<Ranked[]> {
  const cells = new Map([...seen].map(([key, { count }]) => [key, { count: BigInt(count), micro: 0n }]));
  const ranked = best(request, cells);
  if (!request.counter.sum) return ranked;
  const keys = ranked.map(({ key }) => key);
  return best(request, await readTotals(request, request.partitions, keys));
}

/** Reads every key of the ranges; each partition is asked only for keys that it has. */
async function rankByIndexes(request: RankRequest): Promise<Ranked[]> {
  const { client, partitions, counter, ranges } = request;
  const totals = new Map<string, Cell>();
  for (const partition of partitions) {
    const keys = await readIndexedKeys(client, partition, counter, ranges);
    for (const [key, cell] of await readTotals(request, [partition], [...keys])) {
      const total = totals.get(key);
      totals.set(key, total ? sumCells([total, cell]) : cell);
    }
  }
  return best(request, totals);
}

/** Totals of the keys over the ranges in some partitions. */
async function readTotals(
  { client, counter, ranges }: RankRequest,
  partitions: readonly PartitionKeys[],
  keys: readonly string[],
): Promise<Map<string, Cell>> {
  const totals = new Map<string, Cell>();
  for (let from = 0; from < keys.length; from += TOTALS_AT_ONCE) {
    const page = keys.slice(from, from + TOTALS_AT_ONCE);
    const owners = page.map((key) => ({ key }));
    const cells = await readSums(client, partitions, counter, owners, ranges);
    for (const [i, key] of page.entries()) totals.set(key, cells[i] as Cell);
  }
  return totals;
}

/** The best `limit` in order. */
function best({ limit, by }: RankRequest, totals: ReadonlyMap<string, Cell>): Ranked[] {
  const measure = by === "count" ? ({ cell }: Ranked) => cell.count : ({ cell }: Ranked) => cell.micro;
  return [...totals]
    .map(([key, cell]) => ({ key, cell }))
    .sort((a, b) => descending(measure(a), measure(b)) || compareCodePoints(a.key, b.key))
    .slice(0, limit);
}

function descending(a: bigint, b: bigint): number {
  return a > b ? -1 : a < b ? 1 : 0;
}
