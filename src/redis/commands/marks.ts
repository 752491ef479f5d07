import type { Counter } from "../../core/counter.ts";
import type { Window } from "../../core/window.ts";
import type { RedisClient } from "../client.ts";
import { marksField, type PartitionKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** How far one window of a counter has come in one partition; each mark is the end of a bucket, ms, 0 at first. */
export interface Marks {
  /** Buckets that end here or earlier are in cold storage. */
  readonly exported: number;
  /** Buckets that end here or earlier have left Redis, or are leaving it: cold storage answers for them. */
  readonly hot: number;
  /** Buckets that end here or earlier have left cold storage, too. */
  readonly gone: number;
}

const NONE: Marks = { exported: 0, hot: 0, gone: 0 };

export function parseMarks(text: string | null): Marks {
  if (text === null) return NONE;
  const [exported, hot, gone] = text.split(" ").map(Number) as [number, number, number];
  return { exported, hot, gone };
}

/** Moves a mark forward, see lua/advance.lua. `false` when it may not be moved yet. */
export async function advanceMark(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  [counter, window]: readonly [Counter, Window],
  name: keyof Marks,
  to: number,
): Promise<boolean> {
  const { cold, corrections } = partition;
  const reply = await scripts.get("advance").run(client, [cold, corrections], [marksField(counter, window), name, to]);
  return reply === 1;
}
