import type { Counter } from "../../core/counter.ts";
import { BOARD_SIZE } from "../../core/limits.ts";
import type { Window } from "../../core/window.ts";
import type { RedisClient } from "../client.ts";
import { type CellOwner, foldField, type PartitionKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

/** How far the fold of one window has come in one partition; both are starts of buckets, ms. */
export interface FoldMark {
  /** Buckets that end here or earlier hold all that their finer buckets hold; for others these are read. */
  readonly folded: number;
  /** Buckets that begin before here are written with every event, since their fold has begun; never below `folded`. */
  readonly direct: number;
}

/** Of windows that are not folded, and before the first event. */
const ALL_DIRECT: FoldMark = { folded: Number.POSITIVE_INFINITY, direct: Number.POSITIVE_INFINITY };

export function parseFoldMark(text: string | null | undefined): FoldMark {
  if (text === null || text === undefined) return ALL_DIRECT;
  const [folded, direct] = text.split(" ").map(Number) as [number, number];
  return { folded, direct };
}

/** The fold marks of one partition, as last read. */
export class FoldMarks {
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
    return parseFoldMark(this.#texts[foldField(counter, window)]).direct;
  }
}

/** Moves the marks of a window's fold forward, see lua/fold-mark.lua. `false` when the counter is not there any more. */
export async function moveFoldMark(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  [counter, window]: readonly [Counter, Window],
  { folded, direct }: FoldMark,
): Promise<boolean> {
  const args = [foldField(counter, window), folded, direct];
  return (await scripts.get("fold-mark").run(client, [partition.cold], args)) === 1;
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

/** Folds a slice of a bucket's owners, see lua/fold.lua. `false` when the bucket was folded before, or its counter deleted. */
export async function foldSlice(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  bucket: FoldedBucket,
  owners: readonly FoldedOwner[],
): Promise<boolean> {
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
  return (await scripts.get("fold").run(client, keys, [packForLua(args)])) === 1;
}
