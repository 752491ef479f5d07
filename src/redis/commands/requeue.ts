import type { RedisClient } from "../client.ts";
import type { PartitionKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** Entries moved by one script: each may hold 64 KiB. */
const MOVED_AT_ONCE = 100;

/** Moves entries of a ledger back onto the partition's stream, see lua/requeue.lua; answers how many were still there. */
export async function requeue(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  ledger: string,
  ids: readonly string[],
): Promise<number> {
  let moved = 0;
  for (let from = 0; from < ids.length; from += MOVED_AT_ONCE) {
    const slice = ids.slice(from, from + MOVED_AT_ONCE);
    moved += (await scripts.get("requeue").run(client, [ledger, partition.stream], slice)) as number;
  }
  return moved;
}
