import pMap from "p-map";
import { cellFields } from "../buckets/cells.ts";
import { pipelined } from "../buckets/pipeline.ts";
import { type Holding, readCounterState } from "../buckets/state.ts";
import { type Counter, widestOf } from "../core/counter.ts";
import { parseDuration } from "../core/duration.ts";
import { bucketStart, type Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { deleteSlice, uncorrect } from "../redis/commands/forget.ts";
import { advanceMark, type Marks } from "../redis/commands/marks.ts";
import type { CellOwner, Layer, PartitionKeys, WindowKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";

/** Keys of one slice: the script takes about a millisecond for them. */
const SLICE = 250;
/** Buckets deleted at the same time. */
const AT_ONCE = 64;
const LAYERS: readonly Layer[] = ["base", "corrected"];

export interface ForgetDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
}

/** For each window, up to where its buckets may leave Redis when the partition's clock has come to `clock`, ms. */
export function forgettableTo(
  counter: Counter,
  { marks, folds }: Pick<Holding, "marks" | "folds">,
  clock: number,
): number[] {
  return counter.windows.map((window, w) => {
    const keepMs = parseDuration(counter.definition.keep[window.label] as string) as number;
    // The next wider window is still to be made of what it has not folded.
    const needed = folds[w + 1]?.folded ?? Number.POSITIVE_INFINITY;
    return Math.min(marks[w]?.exported ?? 0, needed, bucketStart(Math.max(0, clock - keepMs), window.ms));
  });
}

/**
 * Deletes from Redis the buckets of a counter that are exported and past their `keep`, in one partition. The mark that
 * sends readers to cold storage moves first. Answers how many buckets were deleted. May run any number of times, be
 * killed anywhere, and run beside itself.
 */
export async function forgetExported(
  deps: ForgetDependencies,
  partition: PartitionKeys,
  counter: Counter,
): Promise<number> {
  const { time, holdings } = await readCounterState(deps.client, [partition], counter);
  if (!time) return 0;
  let deleted = 0;
  const [holding] = holdings as [Holding];
  for (const [w, to] of forgettableTo(counter, holding, time.watermark).entries()) {
    const window = counter.windows[w] as Window;
    const { hot } = holding.marks[w] as Marks;
    const hasMoved =
      to > hot && (await advanceMark(deps.client, deps.scripts, partition, [counter, window], "hot", to));
    deleted += await deleteBuckets(deps, partition, counter, window, hasMoved ? to : hot);
  }
  await uncorrect(deps.client, deps.scripts, partition, counter);
  return deleted;
}

/** Deletes the buckets of a window, in both layers, that end at `end` or before. */
export async function deleteBuckets(
  deps: ForgetDependencies,
  partition: PartitionKeys,
  counter: Counter,
  window: Window,
  end: number,
): Promise<number> {
  let deleted = 0;
  for (const layer of LAYERS) {
    const keys = partition.window(counter, window, layer);
    const starts = await deps.client.zrangebyscore(keys.starts, "-inf", end - window.ms);
    await pMap(starts, (start) => deleteBucket(deps, keys, counter, window, Number(start)), { concurrency: AT_ONCE });
    deleted += starts.length;
  }
  return deleted;
}

async function deleteBucket(
  { client, scripts }: ForgetDependencies,
  keys: WindowKeys,
  counter: Counter,
  window: Window,
  start: number,
): Promise<void> {
  const sorted = window === widestOf(counter);
  const fields = cellFields(counter, keys, start);
  for (;;) {
    const [page] = (await pipelined(client, [[sorted ? "zrange" : "lrange", keys.index(start), 0, SLICE - 1]])) as [
      string[],
    ];
    const owners: CellOwner[] = page.length > 0 ? page.map((key) => ({ key })) : ["total", "other"];
    const sketches = counter.unique ? owners.map((owner) => keys.sketch(start, owner)) : [];
    const cells = owners.map((owner) => keys.cells(keys.chunk(start), owner));
    const isDone = await deleteSlice(client, scripts, { keys, start, sorted, page, cells, sketches, fields });
    if (isDone && page.length === 0) return;
  }
}
