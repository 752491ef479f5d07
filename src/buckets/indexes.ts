import type { Counter } from "../core/counter.ts";
import { bucketStart, type Range, type Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import { type Command, pipelined } from "./pipeline.ts";

/** Members read by one command: about a millisecond of Redis. */
const PAGE = 5_000;

const widestOf = (counter: Counter): Window => counter.windows.at(-1) as Window;

/** Every key with a cell of this partition in any bucket of the ranges. */
export async function readIndexedKeys(
  client: RedisClient,
  partition: PartitionKeys,
  counter: Counter,
  ranges: readonly Range[],
): Promise<Set<string>> {
  const found = new Set<string>();
  for (const { window, from, to } of ranges) {
    const keys = partition.window(counter, window);
    const command = window === widestOf(counter) ? "zrange" : "lrange";
    for (let start = from; start < to; start += window.ms) {
      for (let at = 0; ; at += PAGE) {
        const [page] = (await pipelined(client, [[command, keys.index(start), at, at + PAGE - 1]])) as [string[]];
        for (const key of page) found.add(key);
        if (page.length < PAGE) break;
      }
    }
  }
  return found;
}

export interface KeysRequest {
  /** Only texts that begin so. */
  readonly prefix: string;
  /** Only texts after this one; `null` from the start. */
  readonly after: string | null;
  readonly limit: number;
}

/** Distinct keys in byte order, from the sorted indexes of the widest window's buckets between `from` and `to`. */
export async function listKeys(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counter: Counter,
  span: { readonly from: number; readonly to: number },
  { prefix, after, limit }: KeysRequest,
): Promise<string[]> {
  const widest = widestOf(counter);
  const [min, max] = lexBounds(prefix, after);
  const pages = await Promise.all(
    partitions.map((partition) => {
      const keys = partition.window(counter, widest);
      const commands: Command[] = [];
      for (let start = bucketStart(span.from, widest.ms); start < span.to; start += widest.ms) {
        commands.push(["zrange", keys.index(start), min, max, "BYLEX", "LIMIT", 0, limit]);
      }
      return pipelined(client, commands) as Promise<string[][]>;
    }),
  );
  const sorted = [...new Set(pages.flat(2))].map((text) => ({ text, bytes: Buffer.from(text) }));
  sorted.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  return sorted.slice(0, limit).map(({ text }) => text);
}

/** Bounds of a lexicographic range; the byte 0xff is in no UTF-8 text, so it sorts after whatever follows a prefix. */
function lexBounds(prefix: string, after: string | null): [min: string, max: string | Buffer] {
  const min = after === null ? `[${prefix}` : `(${after}`;
  return [min, prefix === "" ? "+" : Buffer.concat([Buffer.from(`[${prefix}`), Buffer.from([0xff])])];
}
