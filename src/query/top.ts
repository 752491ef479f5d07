import { type BoardTops, readBoardTops, type SeenKey } from "../buckets/boards.ts";
import { type Cell, readSums, sumCells } from "../buckets/cells.ts";
import { firstIndexed, readIndexedKeys } from "../buckets/indexes.ts";
import { hotParts } from "../buckets/parts.ts";
import { type ColdTotal, topCold, totalsCold } from "../cold/reader.ts";
import { compareCodePoints } from "../core/key.ts";
import { BOARD_SIZE } from "../core/limits.ts";
import type { Range } from "../core/window.ts";
import { coldSpans, type Everywhere, type View } from "./everywhere.ts";

export interface RankRequest {
  readonly everywhere: Everywhere;
  readonly view: View;
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
/** Totals of cold storage read in one go, when all are wanted. */
const COLD_PAGE = 10_000;
/** How deep the first look at each board goes, and how much deeper each further one. */
const DEPTH_MIN = 32;
const DEPTH_FACTOR = 8;

/**
 * The exact top keys of the ranges together, largest first, ties by key.
 *
 * Boards hold counts of single buckets, so the ranking of a span is found by the threshold algorithm (Fagin, Lotem,
 * Naor: "Optimal aggregation algorithms for middleware", 2001): the best of every board are candidates, their exact
 * totals are read, and what no board showed cannot exceed the sum of the smallest counts seen. Sums can fall, so no
 * board can rank them, and every key is read. Cold storage takes part as one more board, of all its buckets together.
 */
export async function rankKeys(request: RankRequest): Promise<Ranked[]> {
  const { view, by } = request;
  if (view.counter.by.length === 0) return rankSingle(request);
  return (by === "count" && (await rankByBoards(request))) || rankByIndexes(request);
}

/** A counter by no field has one key, which is its total. */
async function rankSingle({ everywhere, view, ranges }: RankRequest): Promise<Ranked[]> {
  const [cell] = await everywhere.sums(view, ["total"], ranges);
  return cell && cell.count > 0n ? [{ key: "", cell }] : [];
}

/** `null` when even whole boards leave room for a key that none of them shows. */
async function rankByBoards(request: RankRequest): Promise<Ranked[] | null> {
  const { limit } = request;
  for (let depth = Math.max(DEPTH_MIN, 2 * limit); ; depth *= DEPTH_FACTOR) {
    const tops = await readTops(request, Math.min(depth, BOARD_SIZE));
    if (tops.unseenMax === 0) return rankSeen(request, tops);
    if (canSettle(tops, limit)) {
      const ranked = best(request, await readTotals(request, [...tops.seen.keys()]));
      // An unseen key that ties with the last one could still come before it by its text, so equal is not enough.
      if ((ranked[limit - 1]?.cell.count ?? 0n) > BigInt(tops.unseenMax)) return ranked;
    }
    if (tops.exhausted) return null;
  }
}

/** Some keys of the ranges, and whether there are more. */
export interface LeadingKeys {
  readonly keys: readonly string[];
  readonly isAll: boolean;
}

/**
 * At most `limit` keys with an event in the ranges, preferring those with the most on the boards: cheaper than a
 * ranking, because nothing beyond the boards is read however many keys there are. Without boards, those that came first.
 */
export async function leadingKeys(everywhere: Everywhere, view: View, ranges: readonly Range[], limit: number) {
  if (!view.counter.top) return firstKeys(everywhere, view, ranges, limit);
  const { seen, unseenMax } = await readTops({ everywhere, view, ranges, limit, by: "count" }, BOARD_SIZE);
  const keys = [...seen].sort(([, a], [, b]) => b.count - a.count).map(([key]) => key);
  return { keys: keys.slice(0, limit), isAll: unseenMax === 0 && keys.length <= limit } satisfies LeadingKeys;
}

async function firstKeys(
  { deps: { client, cold } }: Everywhere,
  view: View,
  ranges: readonly Range[],
  limit: number,
): Promise<LeadingKeys> {
  const { counter, holdings, signal } = view;
  const found = await firstIndexed(client, counter, hotParts(counter, holdings, ranges), limit);
  const spans = coldSpans(counter, holdings, ranges);
  if (spans.length > 0) {
    const page = { after: null, limit: limit + 1 };
    for (const { owner } of await totalsCold(cold, counter.generation, spans, page, signal)) found.add(keyText(owner));
  }
  return { keys: [...found].slice(0, limit), isAll: found.size <= limit };
}

/** The best of every board in Redis, and of all that is cold. */
async function readTops({ everywhere, view, ranges }: RankRequest, depth: number): Promise<BoardTops> {
  const { counter, holdings, signal } = view;
  const { client, cold } = everywhere.deps;
  const hot = await readBoardTops(client, counter, hotParts(counter, holdings, ranges), depth);
  const spans = coldSpans(counter, holdings, ranges);
  if (spans.length === 0) return hot;
  const rows = await topCold(cold, counter.generation, spans, { limit: depth, by: "count" }, signal);
  const floor = rows.length === depth ? Number(rows.at(-1)?.count) : 0;
  const seen = new Map<string, SeenKey>(hot.seen);
  for (const { owner, count } of rows) {
    const { count: counted, floors } = seen.get(keyText(owner)) ?? { count: 0, floors: 0 };
    seen.set(keyText(owner), { count: counted + Number(count), floors: floors + floor });
  }
  const exhausted = hot.exhausted && (rows.length < depth || depth === BOARD_SIZE);
  return { seen, unseenMax: hot.unseenMax + floor, exhausted };
}

/** The key of an owner in cold storage. */
const keyText = (owner: Buffer): string => owner.toString("utf8", 1);

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
  if (!request.view.counter.sum) return ranked;
  const keys = ranked.map(({ key }) => key);
  return best(request, await readTotals(request, keys));
}

/** Reads every key of the ranges; each partition is asked only for keys that it has. */
async function rankByIndexes(request: RankRequest): Promise<Ranked[]> {
  const { everywhere, view, ranges } = request;
  const { client } = everywhere.deps;
  const totals = new Map<string, Cell>();
  const add = (key: string, cell: Cell) => {
    const total = totals.get(key);
    totals.set(key, total ? sumCells([total, cell]) : cell);
  };
  for (const part of hotParts(view.counter, view.holdings, ranges)) {
    const keys = [...(await readIndexedKeys(client, view.counter, part))];
    for (let from = 0; from < keys.length; from += TOTALS_AT_ONCE) {
      const page = keys.slice(from, from + TOTALS_AT_ONCE);
      const owners = page.map((key) => ({ key }));
      const cells = await readSums(everywhere.deps, view.counter, [part], owners);
      for (const [i, key] of page.entries()) add(key, cells[i] as Cell);
    }
  }
  for await (const { owner, count, micro } of coldTotals(request)) add(keyText(owner), { count, micro });
  return best(request, totals);
}

async function* coldTotals({ everywhere, view, ranges }: RankRequest) {
  const { counter, holdings, signal } = view;
  const spans = coldSpans(counter, holdings, ranges);
  if (spans.length === 0) return;
  for (let after: Buffer | null = null; ; ) {
    const page: Parameters<typeof totalsCold>[3] = { after, limit: COLD_PAGE };
    const rows: ColdTotal[] = await totalsCold(everywhere.deps.cold, counter.generation, spans, page, signal);
    yield* rows;
    if (rows.length < COLD_PAGE) return;
    after = rows.at(-1)?.owner ?? null;
  }
}

/** Totals of the keys over the ranges. */
async function readTotals({ everywhere, view, ranges }: RankRequest, keys: readonly string[]) {
  const totals = new Map<string, Cell>();
  for (let from = 0; from < keys.length; from += TOTALS_AT_ONCE) {
    const page = keys.slice(from, from + TOTALS_AT_ONCE);
    const owners = page.map((key) => ({ key }));
    const cells = await everywhere.sums(view, owners, ranges);
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
