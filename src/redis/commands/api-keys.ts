import type { ApiKey } from "../../core/api-key.ts";
import type { RedisClient } from "../client.ts";
import { META } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** A key that was made here, as against one of the file. */
export interface StoredApiKey extends ApiKey {
  /** Epoch ms. */
  readonly createdAt: number;
}

export async function readApiKeys(client: RedisClient): Promise<StoredApiKey[]> {
  const texts = Object.values(await client.hgetall(META.apiKeys));
  return texts.map((text) => JSON.parse(text) as StoredApiKey).sort((a, b) => a.createdAt - b.createdAt);
}

export async function writeApiKey(client: RedisClient, key: StoredApiKey): Promise<void> {
  await client.hset(META.apiKeys, key.id, JSON.stringify(key));
}

/**
 * Deletes a key, unless nobody could make another afterwards; see lua/revoke-key.lua.
 *
 * @param now epoch ms
 * @param hasOtherAdmin whether a key with the scope `admin` is kept elsewhere
 */
export async function deleteApiKey(
  client: RedisClient,
  scripts: Scripts,
  id: string,
  now: number,
  hasOtherAdmin: boolean,
): Promise<"deleted" | "unknown" | "last"> {
  const reply = await scripts.get("revoke-key").run(client, [META.apiKeys], [id, now, hasOtherAdmin ? 1 : 0]);
  return reply as "deleted" | "unknown" | "last";
}
