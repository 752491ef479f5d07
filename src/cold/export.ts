import { pMapIterable } from "p-map";
import { cellFields, cellsOf } from "../buckets/cells.ts";
import { indexPages } from "../buckets/indexes.ts";
import { BucketsMoved, type Part, readPart } from "../buckets/parts.ts";
import type { Command } from "../buckets/pipeline.ts";
import { type Holding, readCounterState } from "../buckets/state.ts";
import { type Counter, widestOf } from "../core/counter.ts";
import { bucketStart, type Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { advanceMark } from "../redis/commands/marks.ts";
import { type CellOwner, ownerBytes, type PartitionKeys, type WindowKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import type { CellRow, ColdStore } from "./store.ts";

/** Cells read in one go, and rows written in one transaction, or fewer when their sketches make up as many bytes. */
const CELLS_AT_ONCE = 500;
/** Small buckets read at the same time. */
const BUCKETS_AT_ONCE = 16;
const ROWS_AT_ONCE = 10_000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;

export interface ExportDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly store: ColdStore;
  /** Rows that cold storage holds with other content: data was lost or changed behind our back. */
  readonly onDiffering: (rows: readonly CellRow[]) => void;
}

/**
 * Writes the closed buckets of a counter in one partition to cold storage, oldest first, and moves the mark behind what
 * is committed. Closed buckets never change once they are folded, and rows that are there already stay: it may run any
 * number of times, be killed anywhere, and run beside itself. Answers how many rows were written.
 */
export async function exportClosed(
  deps: ExportDependencies,
  partition: PartitionKeys,
  counter: Counter,
): Promise<number> {
  const { time, holdings } = await readCounterState(deps.client, [partition], counter);
  const [holding] = holdings as [Holding];
  if (!time) return 0;
  let rows = 0;
  for (const [w, window] of counter.windows.entries()) {
    const from = holding.marks[w]?.exported ?? 0;
    const to = bucketStart(Math.max(0, Math.min(time.closed, holding.folds[w]?.folded as number)), window.ms);
    if (from < to) rows += await exportWindow(deps, holding, counter, window, from, to);
  }
  return rows;
}

async function exportWindow(
  deps: ExportDependencies,
  holding: Holding,
  counter: Counter,
  window: Window,
  from: number,
  to: number,
): Promise<number> {
  const { client, scripts } = deps;
  const { partition } = holding;
  const keys = partition.window(counter, window);
  const part: Part = { partition, layer: "base", holding, ranges: [{ window, from, to }] };
  const starts = (await client.zrangebyscore(keys.starts, from, to - 1)).map(Number);
  const advance = (mark: number) => advanceMark(client, scripts, partition, [counter, window], "exported", mark);
  let [rows, bytes, written]: [CellRow[], number, number] = [[], 0, 0];
  const flush = async () => {
    await write(deps, rows);
    written += rows.length;
    [rows, bytes] = [[], 0];
  };
  try {
    const read = (start: number) => readBucket(client, counter, part, window, start);
    for await (const { start, chunks } of pMapIterable(starts, read, { concurrency: BUCKETS_AT_ONCE })) {
      for await (const some of chunks) {
        for (const row of some) bytes += row.sketch?.length ?? 0;
        rows.push(...some);
        if (rows.length >= ROWS_AT_ONCE || bytes >= BYTES_AT_ONCE) await flush();
      }
      if (rows.length === 0) await advance(start + window.ms);
    }
  } catch (error) {
    // Somebody else has exported these buckets meanwhile, and they have left Redis.
    if (error instanceof BucketsMoved) return written;
    throw error;
  }
  await flush();
  await advance(to);
  return written;
}

async function write({ store, onDiffering }: ExportDependencies, rows: readonly CellRow[]): Promise<void> {
  if (rows.length === 0) return;
  const { differing } = await store.insertCells(rows);
  if (differing.length > 0) onDiffering(differing);
}

/** A bucket's rows in chunks: read already when they are few, so that many small buckets are read at the same time. */
async function readBucket(client: RedisClient, counter: Counter, part: Part, window: Window, start: number) {
  const keys = part.partition.window(counter, window);
  const command = window === widestOf(counter) ? "zcard" : "llen";
  const [size] = (await readPart(client, counter, part, [[command, keys.index(start)]])) as [number];
  const chunks = rowsOfBucket(client, counter, part, window, start);
  if (size > CELLS_AT_ONCE) return { start, chunks };
  const read: CellRow[][] = [];
  for await (const some of chunks) read.push(some);
  return { start, chunks: read };
}

/** All rows of one bucket: the total, the refused keys together, and every key. */
async function* rowsOfBucket(
  client: RedisClient,
  counter: Counter,
  part: Part,
  window: Window,
  start: number,
): AsyncGenerator<CellRow[]> {
  const keys = part.partition.window(counter, window);
  yield await rowsOf(client, counter, part, keys, window, start, ["total", "other"]);
  if (counter.by.length === 0) return;
  for await (const page of indexPages(client, counter, part, window, keys.index(start))) {
    for (let at = 0; at < page.length; at += CELLS_AT_ONCE) {
      const owners = page.slice(at, at + CELLS_AT_ONCE).map((key) => ({ key }));
      yield await rowsOf(client, counter, part, keys, window, start, owners);
    }
  }
}

async function rowsOf(
  client: RedisClient,
  counter: Counter,
  part: Part,
  keys: WindowKeys,
  window: Window,
  start: number,
  owners: readonly CellOwner[],
): Promise<CellRow[]> {
  const fields = cellFields(counter, keys, start);
  const chunk = keys.chunk(start);
  const commands = owners.flatMap((owner): Command[] => [
    ["hmget", keys.cells(chunk, owner), ...fields],
    ...(counter.unique ? [["getBuffer", keys.sketch(start, owner)] as const] : []),
  ]);
  const replies = await readPart(client, counter, part, commands);
  const perOwner = counter.unique ? 2 : 1;
  return owners.flatMap((owner, i) => {
    const [found] = [...cellsOf(replies[i * perOwner], counter)];
    if (!found) return [];
    const sketch = counter.unique ? (replies[i * perOwner + 1] as Buffer | null) : null;
    return {
      generation: counter.generation,
      windowMs: window.ms,
      start,
      owner: ownerBytes(owner),
      partition: part.partition.partition,
      correction: 0,
      ...found[1],
      sketch: sketch && withoutCache(sketch),
    };
  });
}

/** Position and length of the cached estimate in a HyperLogLog's header, and the bit that says it is out of date. */
const [CACHE_AT, CACHE_BYTES, CACHE_INVALID] = [8, 8, 0x80];

/**
 * Redis keeps the last estimate inside a sketch, so that reading one changes its bytes. Without it, equal sketches have
 * equal bytes. (https://github.com/redis/redis/blob/7.0/src/hyperloglog.c, "HyperLogLog representation")
 */
export function withoutCache(sketch: Buffer): Buffer {
  const copy = Buffer.from(sketch);
  copy.fill(0, CACHE_AT, CACHE_AT + CACHE_BYTES);
  copy[CACHE_AT + CACHE_BYTES - 1] = CACHE_INVALID;
  return copy;
}
