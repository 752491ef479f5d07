import type { Counter } from "../core/counter.ts";
import type { Range, Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { sumHashes, WHOLE_FROM } from "../redis/commands/sum.ts";
import { CELL_FIELDS, type CellOwner, type WindowKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { checkHolding, type Part, readPart, windowKeys } from "./parts.ts";
import type { Command } from "./pipeline.ts";
import { holdingFields } from "./state.ts";

/** Numbers of one bucket, or of several added up. */
export interface Cell {
  count: bigint;
  /** Micro-units. */
  micro: bigint;
}

const MICRO = 1_000_000n;
const CARRY = 2n ** 62n;

/** What one call of the script may read, in fields: about a millisecond of Redis. A hash costs as much as some fields. */
const COST_MAX = 1_000;
const HASH_COST = 5;
/** What a field costs of a hash that is read whole. */
const WHOLE_SHARE = 1 / 4;

export const emptyCell = (): Cell => ({ count: 0n, micro: 0n });

/** The cells of a range that lie in one hash of each owner. */
export interface Chunk {
  readonly keys: WindowKeys;
  readonly number: number;
  /** Start of the first bucket, ms. */
  readonly start: number;
  readonly window: Window;
  readonly fields: string[];
}

/** Consecutive buckets of one width. */
export interface Row {
  /** Start of the first, ms. */
  readonly from: number;
  /** Width of each, ms. */
  readonly ms: number;
  readonly length: number;
}

/** Which bucket of the row holds one that begins at `start`. */
export const placeIn = ({ from, ms }: Row, start: number): number => Math.floor((start - from) / ms);

/** Adds the cells of the parts to the `cells` of a row of buckets around them. */
export async function readSeries(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  owner: CellOwner,
  row: Row,
  cells: readonly Cell[],
): Promise<void> {
  await Promise.all(
    parts.map(async (part) => {
      const chunks = chunksOfPart(part, counter);
      const reads = chunks.map(({ keys, number, fields }): Command => ["hmget", keys.cells(number, owner), ...fields]);
      const replies = await readPart(client, counter, part, reads);
      for (const [i, { start, window }] of chunks.entries()) {
        for (const [offset, cell] of cellsOf(replies[i], counter)) {
          add(cells[placeIn(row, start + offset * window.ms)] as Cell, cell);
        }
      }
    }),
  );
}

export interface SumsDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
}

/** For each owner, all cells of all parts added up, inside Redis. Throws BucketsMoved when they may be incomplete. */
export async function readSums(
  deps: SumsDependencies,
  counter: Counter,
  parts: readonly Part[],
  owners: readonly CellOwner[],
): Promise<Cell[]> {
  const sums = owners.map(emptyCell);
  await Promise.all(parts.map((part) => addPart(deps, counter, part, owners, sums)));
  return sums;
}

async function addPart(
  { client, scripts }: SumsDependencies,
  counter: Counter,
  part: Part,
  owners: readonly CellOwner[],
  sums: readonly Cell[],
): Promise<void> {
  const { cold } = part.partition;
  const marks = holdingFields(counter);
  const width = suffixes(counter).length;
  for (const { chunks, ownersAtOnce } of portionsOf(mergedChunks(part, counter))) {
    const cells = chunks.map(({ fields }) => fields);
    for (let from = 0; from < owners.length; from += ownersAtOnce) {
      const some = owners.slice(from, from + ownersAtOnce);
      const hashes = some.flatMap((owner) => chunks.map(({ keys, number }) => keys.cells(number, owner)));
      const answer = await sumHashes(client, scripts, { cold, marks, cells, width, hashes });
      checkHolding(counter, part, answer.marks);
      for (let i = 0; i < some.length; i++) add(sums[from + i] as Cell, cellOf(answer.sums, i * width, counter));
    }
  }
}

/** Chunks that one call reads, of so many owners. */
interface Portion {
  readonly chunks: Chunk[];
  readonly ownersAtOnce: number;
}

/** As many chunks together as one call may read of one owner, and then as many owners as it may. */
function portionsOf(chunks: readonly Chunk[]): Portion[] {
  const portions: { chunks: Chunk[]; cost: number }[] = [];
  for (const chunk of chunks) {
    const fields = chunk.fields.length;
    const cost = HASH_COST + (fields < WHOLE_FROM ? fields : fields * WHOLE_SHARE);
    const last = portions.at(-1);
    if (last && last.cost + cost <= COST_MAX) {
      last.chunks.push(chunk);
      last.cost += cost;
    } else portions.push({ chunks: [chunk], cost });
  }
  return portions.map(({ chunks, cost }) => ({ chunks, ownersAtOnce: Math.max(1, Math.floor(COST_MAX / cost)) }));
}

/** The part's chunks, each once: the head and the tail of a plan are often in the same. */
function mergedChunks(part: Part, counter: Counter): Chunk[] {
  const merged = new Map<string, Chunk>();
  for (const chunk of chunksOfPart(part, counter)) {
    const name = `${chunk.window.ms} ${chunk.number}`;
    const known = merged.get(name);
    if (known) known.fields.push(...chunk.fields);
    else merged.set(name, chunk);
  }
  return [...merged.values()];
}

function chunksOfPart(part: Part, counter: Counter): Chunk[] {
  return part.ranges.flatMap((range) => chunksOf(windowKeys(part, counter, range), counter, range));
}

/** The hashes in which the cells of a range lie. */
export function chunksOf(keys: WindowKeys, counter: Counter, { window, from, to }: Range): Chunk[] {
  const chunks: Chunk[] = [];
  for (let start = from; start < to; ) {
    const chunk: Chunk = { keys, number: keys.chunk(start), start, window, fields: [] };
    for (; start < to && keys.chunk(start) === chunk.number; start += window.ms) {
      chunk.fields.push(...cellFields(counter, keys, start));
    }
    chunks.push(chunk);
  }
  return chunks;
}

/** Fields of a bucket's cell in its chunk's hash, in the order in which `cellsOf` takes their values. */
export function cellFields(counter: Counter, keys: WindowKeys, start: number): string[] {
  return suffixes(counter).map((suffix) => keys.field(start) + suffix);
}

function suffixes(counter: Counter): readonly string[] {
  const { count, units, micros, carries } = CELL_FIELDS;
  return counter.sum ? [count, units, micros, carries] : [count];
}

/** The cells that exist in a chunk's reply, each with its number within what was read. */
export function* cellsOf(reply: unknown, counter: Counter): Generator<[offset: number, cell: Cell]> {
  const values = reply as (string | null)[];
  const width = suffixes(counter).length;
  for (let at = 0; at < values.length; at += width) {
    if (values[at] === null) continue;
    const numbers = values.slice(at, at + width).map((value) => BigInt(value ?? 0));
    yield [at / width, cellOf(numbers, 0, counter)];
  }
}

/** The cell whose fields have the values from `at` on. */
function cellOf(numbers: readonly bigint[], at: number, counter: Counter): Cell {
  const number = (n: number) => numbers[at + n] as bigint;
  const micro = counter.sum ? (number(1) + number(3) * CARRY) * MICRO + number(2) : 0n;
  return { count: number(0), micro };
}

export function add(sum: Cell, cell: Cell): void {
  sum.count += cell.count;
  sum.micro += cell.micro;
}

export function sumCells(cells: readonly Cell[]): Cell {
  const sum = emptyCell();
  for (const cell of cells) add(sum, cell);
  return sum;
}
