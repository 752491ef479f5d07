import { listKeys } from "../buckets/indexes.ts";
import { hotParts } from "../buckets/parts.ts";
import type { CounterTime } from "../buckets/state.ts";
import { keysCold } from "../cold/reader.ts";
import { widestOf } from "../core/counter.ts";
import { decodeKey, encodeKeyPart } from "../core/key.ts";
import { KEYS_LIMIT_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import { bucketStart, type Range } from "../core/window.ts";
import { coldSpans, type Everywhere, type View } from "./everywhere.ts";
import type { KeysAnswer } from "./lookups.ts";

export interface KeysParameters {
  readonly prefix?: string | undefined;
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface KeysRequest {
  readonly prefix: string;
  /** The last key text of the page before. */
  readonly after: string | null;
  readonly limit: number;
}

export function parseKeys({ prefix = "", limit = 100, cursor }: KeysParameters): KeysRequest {
  if (!Number.isInteger(limit) || limit < 1 || limit > KEYS_LIMIT_MAX) {
    throw new Problem("invalid_parameter", `limit: must be a whole number from 1 to ${KEYS_LIMIT_MAX}`);
  }
  return { prefix, after: cursor === undefined ? null : parseCursor(cursor), limit };
}

/** A page of a counter's distinct keys, in byte order, and the ranges that were read for it. */
export async function pageOfKeys(
  everywhere: Everywhere,
  view: View,
  time: CounterTime | null,
  { prefix, after, limit }: KeysRequest,
): Promise<[KeysAnswer, Range[]]> {
  const { counter } = view;
  if (!time) return [{ keys: [], cursor: null }, []];
  if (counter.by.length === 0) return [{ keys: prefix === "" && after === null ? [[]] : [], cursor: null }, []];
  const window = widestOf(counter);
  const range: Range = {
    window,
    from: bucketStart(time.oldest, window.ms),
    to: bucketStart(time.newest, window.ms) + window.ms,
  };
  const texts = await sortedKeys(everywhere, view, range, encodeKeyPart(prefix), after, limit + 1);
  const page = texts.slice(0, limit);
  const cursor = texts.length > limit ? Buffer.from(page.at(-1) as string).toString("base64url") : null;
  return [{ keys: page.map((text) => decodeKey(text, counter.by.length)), cursor }, [range]];
}

async function sortedKeys(
  { deps: { client, cold } }: Everywhere,
  { counter, holdings, signal }: View,
  range: Range,
  prefix: string,
  after: string | null,
  limit: number,
): Promise<string[]> {
  const found = await listKeys(client, counter, hotParts(counter, holdings, [range]), { prefix, after, limit });
  const spans = coldSpans(counter, holdings, [range]);
  if (spans.length > 0) {
    const request = { prefix: Buffer.from(prefix), after: after === null ? null : Buffer.from(after), limit };
    for (const key of await keysCold(cold, counter.generation, spans, request, signal)) found.add(key.toString());
  }
  const sorted = [...found].map((text) => ({ text, bytes: Buffer.from(text) }));
  sorted.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  return sorted.slice(0, limit).map(({ text }) => text);
}

function parseCursor(cursor: string): string {
  if (!/^[\w-]*$/.test(cursor)) throw new Problem("invalid_parameter", "cursor: is not one that an answer gave");
  return Buffer.from(cursor, "base64url").toString();
}
