import type { Counter } from "../core/counter.ts";
import { BOARD_SIZE } from "../core/limits.ts";
import type { Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import { type Command, pipelined } from "./pipeline.ts";

/** The upper part of several boards. */
export interface BoardTops {
  /** Every key seen. */
  readonly keys: ReadonlySet<string>;
  /** No key that is not in `keys` has more than this in all the boards' buckets together. */
  readonly unseenMax: number;
  /** Taking more of each board would show nothing new. */
  readonly exhausted: boolean;
}

/** The best `depth` keys of every bucket of the ranges, in every partition. */
export async function readBoardTops(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counter: Counter,
  ranges: readonly Range[],
  depth: number,
): Promise<BoardTops> {
  const keys = new Set<string>();
  let unseenMax = 0;
  let exhausted = true;
  await Promise.all(
    partitions.map(async (partition) => {
      const commands = boardNames(partition, counter, ranges).map(
        (name): Command => ["zrange", name, 0, depth - 1, "REV", "WITHSCORES"],
      );
      for (const reply of (await pipelined(client, commands)) as string[][]) {
        const taken = reply.length / 2;
        for (let i = 0; i < reply.length; i += 2) keys.add(reply[i] as string);
        // A board that is not full holds every key of its bucket.
        if (taken === depth || taken >= BOARD_SIZE) unseenMax += Number(reply.at(-1));
        if (taken === depth && depth < BOARD_SIZE) exhausted = false;
      }
    }),
  );
  return { keys, unseenMax, exhausted };
}

function boardNames(partition: PartitionKeys, counter: Counter, ranges: readonly Range[]): string[] {
  return ranges.flatMap(({ window, from, to }) => {
    const keys = partition.window(counter, window);
    return Array.from({ length: (to - from) / window.ms }, (_, i) => keys.board(from + i * window.ms));
  });
}
