import { type Counter, isFolded, widestOf } from "../core/counter.ts";
import { bucketStart, type Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseClock } from "../redis/commands/apply.ts";
import {
  type FoldedBucket,
  type FoldedOwner,
  foldSlice,
  isBehind,
  moveFoldMarks,
  parseFoldMarks,
} from "../redis/commands/fold.ts";
import { type CellOwner, foldField, type PartitionKeys, type WindowKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { chunksOf } from "./cells.ts";
import { pagesOf } from "./indexes.ts";
import { pipelined } from "./pipeline.ts";

/** Keys that are gathered at a time; of a bucket that has more, a share each, by the hash of the key. */
const KEYS_AT_ONCE = 200_000;
/** Buckets of one window folded in one go. */
const BUCKETS_AT_ONCE = 64;
/** What one call may cost, about 2 ms of Redis, and what an owner, a field and a sketch do, microseconds. */
const [CALL_COST, OWNER_COST, FIELD_COST, SKETCH_COST] = [2_000, 15, 0.7, 12];

export interface FoldDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
}

/**
 * Folds what is complete: every bucket of a folded window that the counter's clock has passed is made up of the buckets
 * of the next finer window. Events that come later for such a bucket are written to it directly from the moment that its
 * fold begins. It may run any number of times, be killed anywhere, and run beside itself: see lua/fold.lua. Answers how
 * many buckets were folded.
 */
export async function foldPassed(deps: FoldDependencies, partition: PartitionKeys, counter: Counter): Promise<number> {
  const text = await deps.client.hget(partition.clocks, String(counter.generation));
  if (text === null) return 0;
  const { clock } = parseClock(text);
  let buckets = 0;
  let complete = clock;
  for (const window of counter.windows) {
    if (!isFolded(counter, window)) {
      complete = clock;
      continue;
    }
    const to = bucketStart(complete, window.ms);
    buckets += await foldWindow(deps, partition, counter, window, to);
    complete = to;
  }
  return buckets;
}

async function foldWindow(
  deps: FoldDependencies,
  partition: PartitionKeys,
  counter: Counter,
  window: Window,
  complete: number,
): Promise<number> {
  const { client, scripts } = deps;
  const marks = parseFoldMarks(await client.hget(partition.cold, foldField(counter, window)));
  const { starts } = partition.window(counter, finerOf(counter, window));
  // What folding was behind with, or all that is complete.
  const to = isBehind(marks) ? Math.min(complete, marks.resumed) : complete;
  let buckets = 0;
  for (let from = marks.folded; from < to; from += BUCKETS_AT_ONCE * window.ms) {
    const end = Math.min(to, from + BUCKETS_AT_ONCE * window.ms);
    const move = (folded: number) => moveFoldMarks(client, scripts, partition, [counter, window], folded, end);
    // From here on events are written to these buckets: none can come behind the reading of their keys.
    if (!(await move(from))) return buckets;
    const finer = (await client.zrangebyscore(starts, from, end - 1)).map(Number);
    for (const [start, some] of byBucket(finer, window)) {
      await new BucketFold(deps, partition, counter, window, start, some).fold();
      await move(start + window.ms);
      buckets++;
    }
    await move(end);
  }
  return buckets;
}

/** Starts of finer buckets by the start of the bucket around them. */
function byBucket(starts: readonly number[], window: Window): Map<number, number[]> {
  const buckets = new Map<number, number[]>();
  for (const start of starts) {
    const around = bucketStart(start, window.ms);
    buckets.set(around, [...(buckets.get(around) ?? []), start]);
  }
  return buckets;
}

function finerOf({ windows }: Counter, window: Window): Window {
  return windows[windows.indexOf(window) - 1] as Window;
}

/** The fold of one bucket. */
class BucketFold {
  readonly #deps: FoldDependencies;
  readonly #partition: PartitionKeys;
  readonly #bucket: FoldedBucket;
  readonly #keys: WindowKeys;
  readonly #finerKeys: WindowKeys;
  /** Starts of the finer buckets that hold anything, ms. */
  readonly #starts: readonly number[];
  readonly #numbers: readonly number[];

  constructor(
    deps: FoldDependencies,
    partition: PartitionKeys,
    counter: Counter,
    window: Window,
    start: number,
    starts: readonly number[],
  ) {
    this.#deps = deps;
    this.#partition = partition;
    this.#starts = starts;
    const finer = finerOf(counter, window);
    const keys = partition.window(counter, window);
    this.#keys = keys;
    this.#finerKeys = partition.window(counter, finer);
    const chunks = chunksOf(this.#finerKeys, counter, { window: finer, from: start, to: start + window.ms });
    this.#numbers = chunks.map(({ number }) => number);
    this.#bucket = {
      counter,
      window,
      start,
      field: keys.field(start),
      lists: chunks.map(({ fields }) => fields),
      // That of the widest window is written with every event.
      index: counter.by.length > 0 && window !== widestOf(counter) ? keys.index(start) : null,
      board: counter.by.length > 0 && counter.top ? keys.board(start) : null,
    };
  }

  async fold(): Promise<void> {
    const { counter } = this.#bucket;
    for (const owner of ["total", "other"] as const) await this.#send([this.#ownerOf(owner, this.#starts)]);
    if (counter.by.length === 0) return;
    const sizes = await pipelined(
      this.#deps.client,
      this.#starts.map((start) => ["llen", this.#finerKeys.index(start)]),
    );
    const shares = Math.ceil((sizes as number[]).reduce((a, b) => a + b, 0) / KEYS_AT_ONCE);
    for (let share = 0; share < shares; share++) {
      const startsOf = await this.#gather((key) => shares === 1 || hashOf(key) % shares === share);
      await this.#foldKeys(startsOf);
    }
  }

  /** Keys with a cell in any of the finer buckets, each with the starts of those. */
  async #gather(isWanted: (key: string) => boolean): Promise<Map<string, number[]>> {
    const startsOf = new Map<string, number[]>();
    for (const start of this.#starts) {
      const index = this.#finerKeys.index(start);
      for await (const page of pagesOf((first, last) => this.#deps.client.lrange(index, first, last))) {
        for (const key of page) {
          if (!isWanted(key)) continue;
          const starts = startsOf.get(key);
          if (starts) starts.push(start);
          else startsOf.set(key, [start]);
        }
      }
    }
    return startsOf;
  }

  async #foldKeys(startsOf: ReadonlyMap<string, readonly number[]>): Promise<void> {
    let [slice, cost]: [FoldedOwner[], number] = [[], 0];
    for (const [key, starts] of startsOf) {
      const owner = this.#ownerOf({ key }, starts);
      slice.push(owner);
      cost += OWNER_COST + starts.length * FIELD_COST + owner.sketches.length * SKETCH_COST;
      if (cost < CALL_COST) continue;
      await this.#send(slice);
      [slice, cost] = [[], 0];
    }
    if (slice.length > 0) await this.#send(slice);
  }

  #ownerOf(owner: CellOwner, starts: readonly number[]): FoldedOwner {
    const { counter, start } = this.#bucket;
    const [keys, finerKeys] = [this.#keys, this.#finerKeys];
    return {
      owner,
      hash: keys.cells(keys.chunk(start), owner),
      finer: this.#numbers.map((number) => finerKeys.cells(number, owner)),
      sketches: counter.unique
        ? [keys.sketch(start, owner), ...starts.map((time) => finerKeys.sketch(time, owner))]
        : [],
    };
  }

  #send(owners: readonly FoldedOwner[]): Promise<void> {
    const { client, scripts } = this.#deps;
    return foldSlice(client, scripts, this.#partition, this.#bucket, owners);
  }
}

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv) over UTF-16 code units, 32 bits. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
