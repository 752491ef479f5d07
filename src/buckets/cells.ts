import type { Counter } from "../core/counter.ts";
import type { Range, Window } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { CELL_FIELDS, type CellOwner, type WindowKeys } from "../redis/keys.ts";
import { type Part, readPart, windowKeys } from "./parts.ts";
import type { Command } from "./pipeline.ts";

/** Numbers of one bucket, or of several added up. */
export interface Cell {
  count: bigint;
  /** Micro-units. */
  micro: bigint;
}

const MICRO = 1_000_000n;
const CARRY = 2n ** 62n;

export const emptyCell = (): Cell => ({ count: 0n, micro: 0n });

/** Reads part of a range that lies in one hash. */
interface ChunkRead {
  readonly command: Command;
  /** Start of the first bucket read, ms. */
  readonly start: number;
  readonly window: Window;
}

/** Adds the cells of the parts, which are of one window, to `cells`, whose first bucket begins at `from`. */
export async function readSeries(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  owner: CellOwner,
  from: number,
  cells: readonly Cell[],
): Promise<void> {
  await Promise.all(
    parts.map(async (part) => {
      const reads = part.ranges.flatMap((range) => chunkReads(part, counter, owner, range));
      const replies = await readPart(
        client,
        counter,
        part,
        reads.map(({ command }) => command),
      );
      for (const [i, { start, window }] of reads.entries()) {
        const first = (start - from) / window.ms;
        for (const [offset, cell] of cellsOf(replies[i], counter)) add(cells[first + offset] as Cell, cell);
      }
    }),
  );
}

/** For each owner, all cells of all parts added up. */
export async function readSums(
  client: RedisClient,
  counter: Counter,
  parts: readonly Part[],
  owners: readonly CellOwner[],
): Promise<Cell[]> {
  const sums = owners.map(emptyCell);
  await Promise.all(
    parts.map(async (part) => {
      const reads = owners.flatMap((owner, i) =>
        part.ranges.flatMap((range) => chunkReads(part, counter, owner, range)).map(({ command }) => ({ command, i })),
      );
      const replies = await readPart(
        client,
        counter,
        part,
        reads.map(({ command }) => command),
      );
      for (const [r, { i }] of reads.entries()) {
        for (const [, cell] of cellsOf(replies[r], counter)) add(sums[i] as Cell, cell);
      }
    }),
  );
  return sums;
}

function chunkReads(part: Part, counter: Counter, owner: CellOwner, range: Range): ChunkRead[] {
  const { window, from, to } = range;
  const keys = windowKeys(part, counter, range);
  const reads: ChunkRead[] = [];
  for (let start = from; start < to; ) {
    const chunk = keys.chunk(start);
    const first = start;
    const fields: string[] = [];
    for (; start < to && keys.chunk(start) === chunk; start += window.ms) {
      fields.push(...cellFields(counter, keys, start));
    }
    reads.push({ command: ["hmget", keys.cells(chunk, owner), ...fields], start: first, window });
  }
  return reads;
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
  const number = (at: number) => BigInt(values[at] ?? 0);
  for (let at = 0; at < values.length; at += width) {
    if (values[at] === null) continue;
    const micro = counter.sum ? (number(at + 1) + number(at + 3) * CARRY) * MICRO + number(at + 2) : 0n;
    yield [at / width, { count: number(at), micro }];
  }
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
