import type { RedisClient } from "../redis/client.ts";

export type Command = readonly [name: string, ...args: (string | number | Buffer)[]];

/** Commands sent in one go: more would hold a big reply in memory and other clients up. */
const COMMANDS_AT_ONCE = 1_000;

/** Runs commands on keys of one partition in order, as few round trips as may be. Throws the first error of any. */
export async function pipelined(client: RedisClient, commands: readonly Command[]): Promise<unknown[]> {
  const replies: unknown[] = [];
  for (let from = 0; from < commands.length; from += COMMANDS_AT_ONCE) {
    const slice = commands.slice(from, from + COMMANDS_AT_ONCE).map((command) => [...command]);
    for (const [error, reply] of (await client.pipeline(slice).exec()) ?? []) {
      if (error) throw error;
      replies.push(reply);
    }
  }
  return replies;
}
