import type { RedisClient } from "../client.ts";
import type { PartitionKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

/** Fingerprints that are looked for in the same dedupe sets. */
export interface Question {
  readonly sets: readonly string[];
  readonly fingerprints: readonly string[];
}

export interface Seen {
  /** Entries that had been applied at that moment: the answer holds while this number stands. */
  readonly applied: string;
  /** Those of the fingerprints that are remembered. */
  readonly fingerprints: readonly string[];
}

/** Looks fingerprints up in the dedupe sets of a partition, see lua/seen.lua. */
export async function lookUp(
  client: RedisClient,
  scripts: Scripts,
  { state }: PartitionKeys,
  questions: readonly Question[],
): Promise<Seen> {
  const keys = [state];
  const slots = questions.map(({ sets, fingerprints }) => ({ keys: sets.map((set) => keys.push(set)), fingerprints }));
  const [applied, ...known] = (await scripts.get("seen").run(client, keys, [packForLua(slots)])) as [
    string,
    ...string[],
  ];
  return { applied, fingerprints: known };
}
