import type { Counter } from "../core/counter.ts";
import type { Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { Marks } from "../redis/commands/marks.ts";
import type { Layer, PartitionKeys, WindowKeys } from "../redis/keys.ts";
import { type Command, pipelined } from "./pipeline.ts";
import { type Holding, holdingFields, parseWhereabouts } from "./state.ts";

/** What one layer of one partition holds in Redis of some ranges. */
export interface Part {
  readonly partition: PartitionKeys;
  readonly layer: Layer;
  readonly ranges: readonly Range[];
  readonly holding: Holding;
}

/** Buckets left Redis while they were read: what was read is incomplete, and must be read again. */
export class BucketsMoved extends Error {
  override readonly name = "BucketsMoved";
}

/** The parts of the ranges that lie in Redis. */
export function hotParts(counter: Counter, holdings: readonly Holding[], ranges: readonly Range[]): Part[] {
  return holdings.flatMap((holding) => {
    const held = ranges
      .map((range) => ({ ...range, from: Math.max(range.from, marksOf(counter, holding, range).hot) }))
      .filter(({ from, to }) => from < to);
    if (held.length === 0) return [];
    const layers: Layer[] = holding.corrected ? ["base", "corrected"] : ["base"];
    return layers.map((layer) => ({ partition: holding.partition, layer, ranges: held, holding }));
  });
}

export function marksOf(counter: Counter, { marks }: Holding, { window }: Pick<Range, "window">): Marks {
  return marks[counter.windows.indexOf(window)] as Marks;
}

export function windowKeys({ partition, layer }: Part, counter: Counter, { window }: Range): WindowKeys {
  return partition.window(counter, window, layer);
}

/** Runs a part's reads; throws BucketsMoved when they may be incomplete. */
export function readPart(
  client: RedisClient,
  counter: Counter,
  part: Part,
  commands: readonly Command[],
): Promise<unknown[]> {
  return readParts(client, counter, [part], commands);
}

/**
 * Runs reads of several parts, and behind them a look at the marks. Buckets are deleted only after their mark has
 * moved, so a mark that stands where it stood proves that everything was there. Throws BucketsMoved otherwise.
 */
export async function readParts(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  commands: readonly Command[],
): Promise<unknown[]> {
  const looks = parts.map(({ partition }): Command => ["hmget", partition.cold, ...holdingFields(counter)]);
  const replies = await pipelined(client, [...commands, ...looks]);
  for (const [i, reply] of replies.splice(commands.length).entries()) {
    checkHolding(counter, parts[i] as Part, reply as (string | null)[]);
  }
  return replies;
}

/** Throws BucketsMoved unless the part's marks, read behind its buckets as `holdingFields`, stand where they stood. */
export function checkHolding(counter: Counter, { holding }: Part, fields: readonly (string | null)[]): void {
  const { marks } = parseWhereabouts(counter, fields);
  if (marks.some(({ hot }, w) => hot !== holding.marks[w]?.hot)) throw new BucketsMoved();
}
