import type { Counter } from "../../core/counter.ts";
import type { RedisClient } from "../client.ts";
import { correctedField, type PartitionKeys, type WindowKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** The next keys of a bucket's index, or, when that is empty, what is left of the bucket. */
export interface Slice {
  readonly keys: WindowKeys;
  /** Of the bucket, ms. */
  readonly start: number;
  /** Whether its index is a sorted set. */
  readonly sorted: boolean;
  readonly page: readonly string[];
  readonly cells: readonly string[];
  readonly sketches: readonly string[];
  readonly fields: readonly string[];
}

/** Deletes a slice of a bucket, see lua/forget.lua. `false`: the index begins otherwise by now. */
export async function deleteSlice(client: RedisClient, scripts: Scripts, slice: Slice): Promise<boolean> {
  const { keys, start, sorted, page, cells, sketches, fields } = slice;
  const names = [keys.index(start), keys.starts, keys.board(start), ...cells, ...sketches];
  const args = [start, sorted ? "sorted" : "list", page.length, page[0] ?? "", ...fields];
  return (await scripts.get("forget").run(client, names, args)) === 1;
}

/** Takes the flag of the corrected layer back when that is empty, see lua/uncorrect.lua. */
export async function uncorrect(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  counter: Counter,
): Promise<void> {
  const starts = counter.windows.map((window) => partition.window(counter, window, "corrected").starts);
  await scripts.get("uncorrect").run(client, [partition.cold, ...starts], [correctedField(counter)]);
}
