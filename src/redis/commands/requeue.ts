import type { RedisClient } from "../client.ts";
import { compareEntryIds } from "../entry-id.ts";
import { archivedField, type LedgerName, type PartitionKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** Entries moved by one script: each may hold 64 KiB. */
const MOVED_AT_ONCE = 100;

export interface Requeued {
  /** Entries that were still there. */
  readonly moved: number;
  /** Those that belong to the archive. */
  readonly archived: readonly string[];
}

/** Moves entries of a ledger back onto the partition's stream, see lua/requeue.lua. */
export async function requeue(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  ledger: LedgerName,
  ids: readonly string[],
): Promise<Requeued> {
  const keys = [partition[ledger], partition.stream, partition.cold];
  let moved = 0;
  const archived: string[] = [];
  for (let from = 0; from < ids.length; from += MOVED_AT_ONCE) {
    const slice = ids.slice(from, from + MOVED_AT_ONCE);
    const reply = await scripts.get("requeue").run(client, keys, [archivedField(ledger), ...slice]);
    const [movedNow, mark] = reply as [number, string];
    moved += movedNow;
    archived.push(...slice.filter((id) => compareEntryIds(id, mark) <= 0));
  }
  return { moved, archived };
}
