import { Cluster } from "ioredis";
import type { RedisClient } from "../redis/client.ts";
import type { PartitionKeys } from "../redis/keys.ts";

export type Command = readonly [name: string, ...args: (string | number | Buffer)[]];

/** Commands sent in one go: more would hold a big reply in memory and other clients up. */
const COMMANDS_AT_ONCE = 1_000;

/**
 * While a slot moves to another node, a read of a key that has gone there already is answered ASK. ioredis then sends
 * the whole pipeline to that node, where the keys that have not come yet read as empty: a wrong number with no error.
 * It leaves a pipeline alone in which a command that is not a read has succeeded.
 */
const KEEPS_FROM_RESENDING: Command = ["ping"];

/** Runs commands on keys of one partition in order, as few round trips as may be. Throws the first error of any. */
export async function pipelined(client: RedisClient, commands: readonly Command[]): Promise<unknown[]> {
  const replies: unknown[] = [];
  for (let from = 0; from < commands.length; from += COMMANDS_AT_ONCE) {
    const slice = commands.slice(from, from + COMMANDS_AT_ONCE).map((command) => [...command]);
    const guard = client instanceof Cluster ? [[...KEEPS_FROM_RESENDING]] : [];
    const results = (await client.pipeline([...slice, ...guard]).exec()) ?? [];
    for (const [error, reply] of results.slice(0, slice.length)) {
      if (error) throw error;
      replies.push(reply);
    }
  }
  return replies;
}

/** Runs the same commands for every partition, in one round trip where a single Redis holds them all. */
export async function pipelinedEach(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  commandsOf: (partition: PartitionKeys) => readonly Command[],
): Promise<unknown[][]> {
  const lists = partitions.map(commandsOf);
  if (client instanceof Cluster) return Promise.all(lists.map((commands) => pipelined(client, commands)));
  const replies = await pipelined(client, lists.flat());
  return lists.map((commands) => replies.splice(0, commands.length));
}
