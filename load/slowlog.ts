import type { RedisClient } from "../src/redis/client.ts";

/** Commands shorter than this, µs, are not logged. */
export const LOGGED_FROM_MICROS = 200;
const ENTRIES_MAX = 100_000;
/** What lookups call, and ingest does not. */
const READING = new Set(["hmget", "zrange", "pfcount"]);

type Entry = readonly [id: number, time: number, micros: number, args: readonly string[], ...rest: unknown[]];

/** Begins to log long commands; those before are forgotten. */
export async function watchCommands(client: RedisClient): Promise<void> {
  await client.config("SET", "slowlog-log-slower-than", LOGGED_FROM_MICROS);
  await client.config("SET", "slowlog-max-len", ENTRIES_MAX);
  await client.slowlog("RESET");
}

/** The longest command of lookups since then, ms; 0 when none was long enough to be logged. */
export async function longestOfLookups(client: RedisClient): Promise<number> {
  const entries = (await client.slowlog("GET", ENTRIES_MAX)) as Entry[];
  return entries.reduce((most, [, , micros, args]) => (isOfLookup(args) ? Math.max(most, micros / 1_000) : most), 0);
}

/** Of all scripts, lookups run only the one whose first key is the partition's marks. */
function isOfLookup([command = "", , , firstKey = ""]: readonly string[]): boolean {
  const name = command.toLowerCase();
  return READING.has(name) || (name === "evalsha" && firstKey.endsWith(":cold"));
}
