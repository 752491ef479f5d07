import { type Counter, widestOf } from "../core/counter.ts";
import type { Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { type Part, readPart, windowKeys } from "./parts.ts";
import type { Command } from "./pipeline.ts";

/** Members read by one command: about a millisecond of Redis. */
const PAGE = 5_000;

/** Every key with a cell in any bucket of the part. */
export async function readIndexedKeys(client: RedisClient, counter: Counter, part: Part): Promise<Set<string>> {
  const found = new Set<string>();
  for (const { index, window } of bucketsOf(counter, part)) {
    for await (const page of indexPages(client, counter, part, window, index)) {
      for (const key of page) found.add(key);
    }
  }
  return found;
}

/** Distinct keys of the parts: the first `limit` of each bucket, and one more of it where there are more. */
export async function firstIndexed(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  limit: number,
): Promise<Set<string>> {
  return readEach(client, counter, parts, (index, window) => [rangeCommand(counter, window), index, 0, limit]);
}

/** One read of each bucket's index; all that they answer, together. */
async function readEach(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  read: (index: string, window: Window) => Command,
): Promise<Set<string>> {
  const pages = await Promise.all(
    parts.map((part) => {
      const commands = [...bucketsOf(counter, part)].map(({ index, window }) => read(index, window));
      return readPart(client, counter, part, commands) as Promise<string[][]>;
    }),
  );
  return new Set(pages.flat(2));
}

/** The indexes of all buckets of a part. */
function* bucketsOf(counter: Counter, part: Part): Generator<{ readonly index: string; readonly window: Window }> {
  for (const range of part.ranges) {
    const keys = windowKeys(part, counter, range);
    for (let start = range.from; start < range.to; start += range.window.ms) {
      yield { index: keys.index(start), window: range.window };
    }
  }
}

/** The widest window's indexes are sorted sets, the others' are lists. */
function rangeCommand(counter: Counter, window: Window): "zrange" | "lrange" {
  return window === widestOf(counter) ? "zrange" : "lrange";
}

/** The keys of one bucket's index, in pages. */
export async function* indexPages(
  client: RedisClient,
  counter: Counter,
  part: Part,
  window: Window,
  index: string,
): AsyncGenerator<string[]> {
  const command = rangeCommand(counter, window);
  yield* pagesOf(async (first, last) => {
    const [page] = (await readPart(client, counter, part, [[command, index, first, last]])) as [string[]];
    return page;
  });
}

/** All members that `read` gives by their positions, in pages; none is empty. */
export async function* pagesOf(read: (first: number, last: number) => Promise<string[]>): AsyncGenerator<string[]> {
  for (let at = 0; ; at += PAGE) {
    const page = await read(at, at + PAGE - 1);
    if (page.length > 0) yield page;
    if (page.length < PAGE) return;
  }
}

export interface KeysRequest {
  /** Only texts that begin so. */
  readonly prefix: string;
  /** Only texts after this one; `null` from the start. */
  readonly after: string | null;
  readonly limit: number;
}

/** Distinct keys of the parts, which are of the widest window, in no order: the first `limit` of each bucket. */
export async function listKeys(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  { prefix, after, limit }: KeysRequest,
): Promise<Set<string>> {
  const [min, max] = lexBounds(prefix, after);
  return readEach(client, counter, parts, (index) => ["zrange", index, min, max, "BYLEX", "LIMIT", 0, limit]);
}

/** Bounds of a lexicographic range; the byte 0xff is in no UTF-8 text, so it sorts after whatever follows a prefix. */
function lexBounds(prefix: string, after: string | null): [min: string, max: string | Buffer] {
  const min = after === null ? `[${prefix}` : `(${after}`;
  return [min, prefix === "" ? "+" : Buffer.concat([Buffer.from(`[${prefix}`), Buffer.from([0xff])])];
}
