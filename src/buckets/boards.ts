import type { Counter } from "../core/counter.ts";
import { BOARD_SIZE } from "../core/limits.ts";
import type { RedisClient } from "../redis/client.ts";
import { type Part, readPart, windowKeys } from "./parts.ts";
import type { Command } from "./pipeline.ts";

/** What the boards that were read say of one key. */
export interface SeenKey {
  /** Its counts on the boards that showed it, added up: never more than its total. */
  count: number;
  /** The smallest counts shown by those boards, added up. */
  floors: number;
}

/** The upper part of several boards. */
export interface BoardTops {
  /** Every key that a board showed. */
  readonly seen: ReadonlyMap<string, SeenKey>;
  /** No other key has more than this in all the boards' buckets together. At 0 the boards showed everything. */
  readonly unseenMax: number;
  /** Reading deeper would show nothing new. */
  readonly exhausted: boolean;
}

/** The best `depth` keys of every bucket of the parts. */
export async function readBoardTops(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  depth: number,
): Promise<BoardTops> {
  const seen = new Map<string, SeenKey>();
  let unseenMax = 0;
  let exhausted = true;
  await Promise.all(
    parts.map(async (part) => {
      const commands = boardNames(part, counter).map(
        (name): Command => ["zrange", name, 0, depth - 1, "REV", "WITHSCORES"],
      );
      for (const reply of (await readPart(client, counter, part, commands)) as string[][]) {
        const shown = reply.length / 2;
        // A board that is not full, and shown whole, holds every key of its bucket.
        const floor = shown === depth || shown >= BOARD_SIZE ? Number(reply.at(-1)) : 0;
        unseenMax += floor;
        if (shown === depth && depth < BOARD_SIZE) exhausted = false;
        for (let i = 0; i < reply.length; i += 2) {
          const key = seen.get(reply[i] as string) ?? { count: 0, floors: 0 };
          seen.set(reply[i] as string, key);
          key.count += Number(reply[i + 1]);
          key.floors += floor;
        }
      }
    }),
  );
  return { seen, unseenMax, exhausted };
}

function boardNames(part: Part, counter: Counter): string[] {
  return part.ranges.flatMap((range) => {
    const { window, from, to } = range;
    const keys = windowKeys(part, counter, range);
    return Array.from({ length: (to - from) / window.ms }, (_, i) => keys.board(from + i * window.ms));
  });
}
