import type { Counter } from "../../core/counter.ts";
import { BOARD_SIZE } from "../../core/limits.ts";
import type { Window } from "../../core/window.ts";
import type { RedisClient } from "../client.ts";
import { type CellOwner, foldField, type PartitionKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

/** How far the fold of one window has come in one partition; all are starts of buckets, ms, in this order. */
export interface FoldMarks {
  /** Buckets that end here or earlier hold all that their finer buckets hold. For those up to `resumed` these are read. */
  readonly folded: number;
  /** From here to `direct`, buckets hold everything as well: they were written with every event from the first on. */
  readonly resumed: number;
  /**
   * Buckets that begin before here are written with every event: they are folded, their fold has begun, or folding has
   * fallen behind. From here on, finer buckets are read.
   */
  readonly direct: number;
}

const EVER = Number.POSITIVE_INFINITY;
/** Of windows that are not folded, and before the first event. */
const ALL_DIRECT: FoldMarks = { folded: EVER, resumed: EVER, direct: EVER };
/** While folding is behind, all is direct: see `EVER` in lua/apply.lua. */
const DIRECT_FOR_NOW = Number.MAX_SAFE_INTEGER;

export function parseFoldMarks(text: string | null | undefined): FoldMarks {
  if (text === null || text === undefined) return ALL_DIRECT;
  const [folded, resumed, direct] = text.split(" ").map(Number) as [number, number, number];
  return { folded, resumed, direct };
}

/** Whether folding has fallen behind, so that buckets are written with every event until it has caught up. */
export const isBehind = ({ direct }: FoldMarks): boolean => direct === DIRECT_FOR_NOW;

/** The fold marks of one partition, as last read. */
export class KnownFolds {
  readonly #client: RedisClient;
  readonly #partition: PartitionKeys;
  #texts: Readonly<Record<string, string>> = {};

  constructor(client: RedisClient, partition: PartitionKeys) {
    this.#client = client;
    this.#partition = partition;
  }

  async load(): Promise<void> {
    this.#texts = await this.#client.hgetall(this.#partition.cold);
  }

  /** Up to where a window's buckets are written with every event, ms. */
  directTo(counter: Counter, window: Window): number {
    return parseFoldMarks(this.#texts[foldField(counter, window)]).direct;
  }
}

/**
 * Moves the marks of a window's fold forward, see lua/fold-mark.lua: what is folded, and up to where folding is under way.
 * `false` when the counter is not there any more.
 */
export async function moveFoldMarks(
  client: RedisClient,
  scripts: Scripts,
  { cold, clocks }: PartitionKeys,
  [counter, window]: readonly [Counter, Window],
  folded: number,
  end: number,
): Promise<boolean> {
  const args = [foldField(counter, window), counter.generation, window.ms, folded, end];
  return (await scripts.get("fold-mark").run(client, [cold, clocks], args)) === 1;
}

/** What a slice of a fold is about: one bucket, and where the finer buckets that make it up are. */
export interface FoldedBucket {
  readonly counter: Counter;
  readonly window: Window;
  /** Start of the bucket, ms. */
  readonly start: number;
  /** Field of its cells. */
  readonly field: string;
  /** For each hash that holds finer cells of an owner, their fields: as many as `CELL_FIELDS` has, one cell after another. */
  readonly lists: readonly (readonly string[])[];
  /** `null`: the window's index is not written by folding. */
  readonly index: string | null;
  readonly board: string | null;
}

export interface FoldedOwner {
  readonly owner: CellOwner;
  /** Hash of the cell, and the hashes of the finer cells in the order of `lists`. */
  readonly hash: string;
  readonly finer: readonly string[];
  /** Sketch of the cell, then those of finer buckets that may exist; none without `unique`. */
  readonly sketches: readonly string[];
}

/** Folds a slice of a bucket's owners, see lua/fold.lua; nothing where the bucket is folded, or its counter deleted. */
export async function foldSlice(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  bucket: FoldedBucket,
  owners: readonly FoldedOwner[],
): Promise<void> {
  const { counter, window, start, field, lists, index, board } = bucket;
  const keys = [partition.cold, ...(index === null ? [] : [index]), ...(board === null ? [] : [board])];
  const asked = owners.map(({ owner, hash, finer, sketches }) => {
    const at = keys.push(hash, ...finer, ...sketches) - finer.length - sketches.length;
    return [typeof owner === "object" && owner.key, at, sketches.length];
  });
  const args = {
    mark: foldField(counter, window),
    start,
    field,
    lists,
    sum: counter.sum !== null,
    index: index === null ? 0 : 2,
    board: board === null ? 0 : 2 + (index === null ? 0 : 1),
    boardSize: BOARD_SIZE,
    owners: asked,
  };
  await scripts.get("fold").run(client, keys, [packForLua(args)]);
}
