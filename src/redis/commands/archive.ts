import type { RedisClient } from "../client.ts";
import { archivedField, type LedgerName, type PartitionKeys, restoredField } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** Below the id of every entry. */
export const NO_ENTRY = "0-0";

/**
 * Gives a ledger's oldest entries to the archive, all but `keep` of them and `most` at most, see lua/freeze.lua. Answers
 * the id up to which entries belong to it.
 */
export async function freezeOldest(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  ledger: LedgerName,
  { keep, most }: { readonly keep: number; readonly most: number },
): Promise<string> {
  const keys = [partition[ledger], partition.cold];
  return (await scripts.get("freeze").run(client, keys, [archivedField(ledger), keep, most])) as string;
}

/** Id up to which entries of a ledger belong to its archive. */
export async function readArchived(client: RedisClient, partition: PartitionKeys, ledger: LedgerName): Promise<string> {
  return (await client.hget(partition.cold, archivedField(ledger))) ?? NO_ENTRY;
}

/** An entry on its way back from the archive. */
export interface ReturningEntry {
  readonly number: number;
  /** 0 for a dead letter. */
  readonly generation: number;
  readonly payload: Buffer;
}

/** Puts entries, in the order of their numbers, back onto the partition's stream, see lua/restore.lua. */
export async function restore(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  ledger: LedgerName,
  entries: readonly ReturningEntry[],
): Promise<void> {
  const args = entries.flatMap(({ number, generation, payload }) => [number, generation, payload]);
  const keys = [partition.cold, partition.stream];
  await scripts.get("restore").run(client, keys, [restoredField(ledger), ...args]);
}

/** Number of the last entry that has come back from the archive. */
export async function readRestored(client: RedisClient, partition: PartitionKeys, ledger: LedgerName): Promise<number> {
  return Number(await client.hget(partition.cold, restoredField(ledger)));
}
