import { readBoardTops } from "../buckets/boards.ts";
import { type Cell, readSums } from "../buckets/cells.ts";
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
const DEPTH_MIN = 32;

/**
 * The exact top keys of the ranges together, largest first, ties by key.
 *
 * Boards hold counts of single buckets, so the ranking of a span is found by the threshold algorithm (Fagin, Lotem,
 * Naor: "Optimal aggregation algorithms for middleware", 2001): the best of every board are candidates, their exact
 * totals are read, and what no board showed cannot exceed the sum of the smallest counts seen. Sums can fall, so no
 * board can rank them, and every key is read.
 */
export async function rankKeys(request: RankRequest): Promise<Ranked[]> {
  const { counter, ranges } = request;
  if (counter.by.length === 0) return rankSingle(request);
  if (request.by === "count") {
    const ranked = await rankByBoards(request);
    if (ranked) return ranked;
  }
  const keys = await readIndexedKeys(request.client, request.partitions, counter, ranges);
  return readTotals(request, [...keys]);
}

/** A counter by no field has one key, which is its total. */
async function rankSingle({ client, partitions, counter, ranges }: RankRequest): Promise<Ranked[]> {
  const [cell] = await readSums(client, partitions, counter, ["total"], ranges);
  return cell && cell.count > 0n ? [{ key: "", cell }] : [];
}

/** `null` when even whole boards leave room for a key that none of them shows. */
async function rankByBoards(request: RankRequest): Promise<Ranked[] | null> {
  const { client, partitions, counter, ranges, limit } = request;
  for (let depth = Math.max(DEPTH_MIN, 2 * limit); ; depth *= 4) {
    const tops = await readBoardTops(client, partitions, counter, ranges, Math.min(depth, BOARD_SIZE));
    const ranked = await readTotals(request, [...tops.keys]);
    // An unseen key that ties with the last one could still come before it by its text, so equal is not enough.
    const last = ranked[limit - 1]?.cell.count ?? 0n;
    if (tops.unseenMax === 0 || last > BigInt(tops.unseenMax)) return ranked;
    if (tops.exhausted) return null;
  }
}

/** Totals of the keys over the ranges, the best `limit` of them in order. */
async function readTotals({ client, partitions, counter, ranges, limit, by }: RankRequest, keys: readonly string[]) {
  let best: Ranked[] = [];
  for (let from = 0; from < keys.length; from += TOTALS_AT_ONCE) {
    const page = keys.slice(from, from + TOTALS_AT_ONCE);
    const owners = page.map((key) => ({ key }));
    const cells = await readSums(client, partitions, counter, owners, ranges);
    best = [...best, ...page.map((key, i) => ({ key, cell: cells[i] as Cell }))]
      .sort(by === "count" ? byCount : bySum)
      .slice(0, limit);
  }
  return best;
}

function byCount(a: Ranked, b: Ranked): number {
  return descending(a.cell.count, b.cell.count) || compareCodePoints(a.key, b.key);
}

function bySum(a: Ranked, b: Ranked): number {
  return descending(a.cell.micro, b.cell.micro) || compareCodePoints(a.key, b.key);
}

function descending(a: bigint, b: bigint): number {
  return a > b ? -1 : a < b ? 1 : 0;
}
