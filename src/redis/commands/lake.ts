import type { RedisClient } from "../client.ts";
import { parseEntryId } from "../entry-id.ts";
import { ARCHIVE_GROUP, type PartitionKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";
import { timeAt } from "../time.ts";

/** Entries acknowledged by one script: unpack() and the arguments of a command have their limits. */
const ACKNOWLEDGED_AT_ONCE = 4_000;
/** Entries deleted by one script, so that none runs long. */
const DELETED_AT_ONCE = 1_000;

/** Puts archiving in force, see lua/lake-join.lua. True when it was, and its group was missing. */
export async function joinArchive(client: RedisClient, scripts: Scripts, keys: PartitionKeys): Promise<boolean> {
  const { stream, state, kept, ahead } = keys;
  return (await scripts.get("lake-join").run(client, [stream, state, kept, ahead], [ARCHIVE_GROUP])) === 1;
}

/** Ends archiving, see lua/lake-leave.lua; what was kept for it is deleted. */
export async function leaveArchive(client: RedisClient, scripts: Scripts, keys: PartitionKeys): Promise<void> {
  const { stream, state, kept, ahead } = keys;
  const script = scripts.get("lake-leave");
  while ((await script.run(client, [stream, state, kept, ahead], [ARCHIVE_GROUP, DELETED_AT_ONCE])) === 0);
}

/** `lost`: somebody else archives the partition. `off`: archiving is not in force any more. */
export type AcknowledgeOutcome = "ok" | "lost" | "off";

/** Acknowledges entries whose events are in the lake, see lua/lake-ack.lua. */
export async function acknowledgeArchived(
  client: RedisClient,
  scripts: Scripts,
  keys: PartitionKeys,
  token: string,
  ids: readonly string[],
): Promise<AcknowledgeOutcome> {
  const { stream, archiveLease, state, kept, ahead } = keys;
  for (let from = 0; from < ids.length; from += ACKNOWLEDGED_AT_ONCE) {
    const slice = ids.slice(from, from + ACKNOWLEDGED_AT_ONCE);
    const reply = await scripts
      .get("lake-ack")
      .run(client, [stream, archiveLease, state, kept, ahead], [token, ARCHIVE_GROUP, ...slice]);
    if (reply !== "ok") return reply as AcknowledgeOutcome;
  }
  return "ok";
}

/** Takes the right to archive a partition, or renews it; 0 gives it up. False while somebody else has it. */
export async function holdArchive(
  client: RedisClient,
  scripts: Scripts,
  { archiveLease }: PartitionKeys,
  token: string,
  ms: number,
): Promise<boolean> {
  return (await scripts.get("hold").run(client, [archiveLease], [token, ms])) === 1;
}

/** Whether archiving is in force for a partition. */
export async function isArchiving(client: RedisClient, { state }: PartitionKeys): Promise<boolean> {
  return (await client.hexists(state, "archiving")) === 1;
}

/** What of a partition's stream waits for the archive. */
export interface ArchiveBacklog {
  readonly entries: number;
  /** Of them, entries that are applied already and take room for the archive alone. */
  readonly kept: number;
  /** How long ago the oldest of them arrived, ms. */
  readonly lagMs: number;
}

/** `null` where archiving is not in force. */
export async function readArchiveBacklog(client: RedisClient, keys: PartitionKeys): Promise<ArchiveBacklog | null> {
  const { stream, kept, ahead } = keys;
  if (!(await isArchiving(client, keys))) return null;
  const [entries, keptEntries, aheadEntries] = await Promise.all([
    client.xlen(stream),
    client.scard(kept),
    client.scard(ahead),
  ]);
  const waiting = Math.max(0, entries - aheadEntries);
  const oldest = waiting === 0 ? null : await oldestUnarchived(client, keys);
  const lagMs = oldest === null ? 0 : Math.max(0, (await timeAt(client, stream)) - parseEntryId(oldest).ms);
  return { entries: waiting, kept: keptEntries, lagMs };
}

/** The oldest entry that the archive's group has not acknowledged: what is pending is older than what is new. */
export async function oldestUnarchived(client: RedisClient, { stream }: PartitionKeys): Promise<string | null> {
  const [pending] = (await client.xpending(stream, ARCHIVE_GROUP, "-", "+", 1)) as [id: string][];
  if (pending) return pending[0];
  const groups = (await client.xinfo("GROUPS", stream)) as (string | number)[][];
  const group = groups.find((fields) => fields[fields.indexOf("name") + 1] === ARCHIVE_GROUP);
  const last = group?.[group.indexOf("last-delivered-id") + 1] ?? "0-0";
  const [next] = await client.xrange(stream, `(${last}`, "+", "COUNT", 1);
  return next?.[0] ?? null;
}
