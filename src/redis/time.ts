import type { RedisClient } from "./client.ts";

/**
 * Time of the Redis that holds a key, ms. TIME has no key, so on a cluster any node would be asked, one that is dead
 * included; pipelined, it goes where the key before it is.
 */
export async function timeAt(client: RedisClient, key: string): Promise<number> {
  const [, [error, time] = [null, []]] = (await client.pipeline([["exists", key], ["time"]]).exec()) ?? [];
  if (error) throw error;
  const [seconds, microseconds] = (time as string[]).map(Number) as [number, number];
  return seconds * 1_000 + Math.floor(microseconds / 1_000);
}
