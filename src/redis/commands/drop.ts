import type { RedisClient } from "../client.ts";
import { type PartitionKeys, setsOfFamily } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** Families asked for at once, and sets dropped by one script: about a millisecond of Redis. */
const FAMILIES_AT_ONCE = 64;
const SETS_AT_ONCE = 512;
/** After this long the rest waits for the next time, ms: the entries of the stream come first. */
const BUDGET_MS = 50;

/** Drops dedupe families whose last insertion arrived before `bound`, ms; see lua/drop.lua. */
export async function dropFamilies(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
  bound: number,
): Promise<void> {
  const began = performance.now();
  while (performance.now() - began < BUDGET_MS) {
    const old = await client.zrangebyscore(partition.families, "-inf", `(${bound}`, "LIMIT", 0, FAMILIES_AT_ONCE);
    for (const family of old) await dropFamily(client, scripts, partition, token, bound, family);
    if (old.length < FAMILIES_AT_ONCE) return;
  }
}

async function dropFamily(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
  bound: number,
  family: string,
): Promise<void> {
  const sets = setsOfFamily(partition, family);
  for (let from = 0; from < sets.length; from += SETS_AT_ONCE) {
    const keys = [partition.lease, partition.families, ...sets.slice(from, from + SETS_AT_ONCE)];
    const last = from + SETS_AT_ONCE >= sets.length ? "last" : "";
    await scripts.get("drop").run(client, keys, [token, bound, family, last]);
  }
}
