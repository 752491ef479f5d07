import { readCounterTime } from "../buckets/clocks.ts";
import { listKeys } from "../buckets/indexes.ts";
import type { Counter } from "../core/counter.ts";
import { decodeKey, encodeKeyPrefix } from "../core/key.ts";
import { KEYS_LIMIT_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { LookupsDependencies } from "./lookups.ts";

export interface KeysParameters {
  readonly prefix?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface KeysAnswer {
  readonly keys: string[][];
  /** Where the next page starts; `null` after the last one. */
  readonly cursor: string | null;
}

/** A page of a counter's distinct keys, in byte order. */
export async function lookUpKeys(
  { client, partitions }: LookupsDependencies,
  counter: Counter,
  { prefix = "", limit = 100, cursor }: KeysParameters,
): Promise<KeysAnswer> {
  if (!Number.isInteger(limit) || limit < 1 || limit > KEYS_LIMIT_MAX) {
    throw new Problem("invalid_parameter", `limit: must be a whole number from 1 to ${KEYS_LIMIT_MAX}`);
  }
  const after = cursor === undefined ? null : parseCursor(cursor);
  const time = await readCounterTime(client, partitions, counter);
  if (!time) return { keys: [], cursor: null };
  if (counter.by.length === 0) return { keys: prefix === "" && after === null ? [[]] : [], cursor: null };
  const span = { from: time.oldest, to: time.newest + 1 };
  const request = { prefix: encodeKeyPrefix(prefix), after, limit: limit + 1 };
  const texts = await listKeys(client, partitions, counter, span, request);
  const page = texts.slice(0, limit);
  const more = texts.length > limit;
  return {
    keys: page.map((text) => decodeKey(text, counter.by.length)),
    cursor: more ? Buffer.from(page.at(-1) as string).toString("base64url") : null,
  };
}

function parseCursor(cursor: string): string {
  if (!/^[\w-]*$/.test(cursor)) throw new Problem("invalid_parameter", "cursor: is not one that an answer gave");
  return Buffer.from(cursor, "base64url").toString();
}
