import type { RedisClient } from "../redis/client.ts";
import { readArchiveBacklog } from "../redis/commands/lake.ts";
import type { PartitionKeys } from "../redis/keys.ts";

/** An archive that is further behind does not keep up, ms; one that does waits for some seconds' events. */
const LAG_MAX_MS = 60_000;

/** A sentence on the partition whose archive is furthest behind; `null` while all keep up, or are not archived. */
export async function laggingArchive(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
): Promise<string | null> {
  const backlogs = await Promise.all(
    partitions.map(async (keys) => ({ keys, backlog: await readArchiveBacklog(client, keys) })),
  );
  const lagOf = ({ backlog }: (typeof backlogs)[number]) => backlog?.lagMs ?? 0;
  const worst = backlogs.reduce((a, b) => (lagOf(b) > lagOf(a) ? b : a));
  if (lagOf(worst) < LAG_MAX_MS) return null;
  const { keys, backlog } = worst;
  const seconds = Math.floor(lagOf(worst) / 1_000);
  return `the archive does not keep up: ${backlog?.entries} entries of partition ${keys.partition} wait, the oldest for ${seconds} s`;
}
