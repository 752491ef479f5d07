import type { Counter } from "../../core/counter.ts";
import type { RedisClient } from "../client.ts";
import { admissionKey, admissionsKey } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** Admits keys to the bucket of the widest window that begins at `start`, see lua/admit.lua. One answer a key, in order. */
export async function admitKeys(
  client: RedisClient,
  scripts: Scripts,
  counter: Counter,
  start: number,
  keys: readonly string[],
): Promise<boolean[]> {
  const names = [admissionKey(counter, start), admissionsKey(counter)];
  const reply = (await scripts.get("admit").run(client, names, [counter.keysMax, start, ...keys])) as number[];
  return reply.map((flag) => flag === 1);
}

/** Keys that were admitted to the newest bucket of the counter's widest window. */
export async function countAdmitted(client: RedisClient, counter: Counter): Promise<number> {
  const [newest] = await client.zrange(admissionsKey(counter), "-1", "-1");
  return newest === undefined ? 0 : client.scard(admissionKey(counter, Number(newest)));
}
