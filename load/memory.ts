import type { RedisClient } from "../src/redis/client.ts";
import { KEY_KINDS, type KeyKind, kindOfKey } from "../src/redis/keys.ts";

/** Keys of one kind and what they hold. */
export interface Holding {
  keys: number;
  members: number;
  /** As MEMORY USAGE counts: with the key, its name and allocator rounding. */
  bytes: number;
}

export type Holdings = Record<KeyKind, Holding>;

const KEYS_AT_ONCE = 1_000;
const COUNTING: Readonly<Record<string, string>> = { set: "scard", hash: "hlen", zset: "zcard", list: "llen" };

/** Measures every key of the server. */
export async function measureKeys(client: RedisClient): Promise<Holdings> {
  const empty = (): Holding => ({ keys: 0, members: 0, bytes: 0 });
  const holdings = Object.fromEntries(KEY_KINDS.map((kind) => [kind, empty()])) as Holdings;
  for (const keys of pages([...(await allKeys(client))])) {
    const bytes = await ask(client, keys, (key) => ["memory", "usage", key, "samples", "0"]);
    const types = (await ask(client, keys, (key) => ["type", key])) as string[];
    const sizes = await ask(client, keys, (key, i) => [COUNTING[types[i] as string] ?? "exists", key]);
    for (const [i, key] of keys.entries()) {
      const holding = holdings[kindOfKey(key)];
      holding.keys++;
      holding.members += Number(sizes[i]);
      holding.bytes += Number(bytes[i]);
    }
  }
  return holdings;
}

/** SCAN may name a key twice. */
async function allKeys(client: RedisClient): Promise<Set<string>> {
  const found = new Set<string>();
  let cursor = "0";
  do {
    const [next, keys] = await client.scan(cursor, "COUNT", KEYS_AT_ONCE);
    for (const key of keys) found.add(key);
    cursor = next;
  } while (cursor !== "0");
  return found;
}

function* pages(keys: readonly string[]): Generator<readonly string[]> {
  for (let from = 0; from < keys.length; from += KEYS_AT_ONCE) yield keys.slice(from, from + KEYS_AT_ONCE);
}

async function ask(
  client: RedisClient,
  keys: readonly string[],
  commandOf: (key: string, i: number) => string[],
): Promise<unknown[]> {
  const replies = (await client.pipeline(keys.map(commandOf)).exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
