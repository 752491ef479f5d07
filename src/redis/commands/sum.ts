import type { RedisClient } from "../client.ts";
import type { Scripts } from "../scripts.ts";

export interface SumRequest {
  /** Hash of the marks. */
  readonly cold: string;
  /** Its fields that are answered. */
  readonly marks: readonly string[];
  /** Fields read of each hash of an owner. */
  readonly cells: readonly (readonly string[])[];
  /** How many fields make up a cell. */
  readonly width: number;
  /** Each owner's hashes, in the order of `cells`, one owner after the other. */
  readonly hashes: readonly string[];
}

export interface Sums {
  readonly marks: readonly (string | null)[];
  /** For each owner, the sums of the `width` fields. */
  readonly sums: readonly bigint[];
}

/** From so many fields on, the script reads a hash whole, which is cheaper for each. */
export const WHOLE_FROM = 16;

const BILLION = 1_000_000_000n;

/** Adds up cells inside Redis, see lua/sum.lua. All keys are of one partition. */
export async function sumHashes(client: RedisClient, scripts: Scripts, request: SumRequest): Promise<Sums> {
  const { cold, marks, cells, width, hashes } = request;
  // JSON, since a single Buffer among the arguments would make the client copy each of the names into one of its own.
  const args = JSON.stringify({ cells, width, marks, wholeFrom: WHOLE_FROM });
  const reply = await scripts.get("sum").run(client, [cold, ...hashes], [args]);
  const [found, parts] = reply as [(string | null)[], number[]];
  const sums: bigint[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    const [billions, rest] = [parts[i] as number, parts[i + 1] as number];
    sums.push(billions === 0 ? BigInt(rest) : BigInt(billions) * BILLION + BigInt(rest));
  }
  return { marks: found, sums };
}
