import type { RedisClient } from "../client.ts";
import { type PartitionKeys, setsOfFamily } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** Families looked at in one call, and sets dropped by one script: about a millisecond of Redis. */
const FAMILIES_AT_ONCE = 16;
const SETS_AT_ONCE = 512;

/** Drops dedupe families whose last insertion arrived before `bound`, ms; see lua/drop.lua. */
export async function dropFamilies(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
  bound: number,
): Promise<void> {
  const old = await client.zrangebyscore(partition.families, "-inf", `(${bound}`, "LIMIT", 0, FAMILIES_AT_ONCE);
  for (const family of old) {
    const sets = setsOfFamily(partition, family);
    for (let from = 0; from < sets.length; from += SETS_AT_ONCE) {
      const keys = [partition.lease, partition.families, ...sets.slice(from, from + SETS_AT_ONCE)];
      const last = from + SETS_AT_ONCE >= sets.length ? "last" : "";
      await scripts.get("drop").run(client, keys, [token, bound, family, last]);
    }
  }
}
