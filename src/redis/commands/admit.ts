import type { RedisClient } from "../client.ts";
import type { Scripts } from "../scripts.ts";

/** Admits keys to one bucket of the widest window, see lua/admit.lua. One answer a key, in order. */
export async function admitKeys(
  client: RedisClient,
  scripts: Scripts,
  admissionKey: string,
  keysMax: number,
  keys: readonly string[],
): Promise<boolean[]> {
  const reply = (await scripts.get("admit").run(client, [admissionKey], [keysMax, ...keys])) as number[];
  return reply.map((flag) => flag === 1);
}
