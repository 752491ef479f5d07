import type { Counter } from "../core/counter.ts";
import type { Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { CELL_FIELDS, type CellOwner, type PartitionKeys } from "../redis/keys.ts";
import { type Command, pipelined } from "./pipeline.ts";

/** Numbers of one bucket, or of several added up. */
export interface Cell {
  count: bigint;
  /** Micro-units. */
  micro: bigint;
}

const MICRO = 1_000_000n;
const CARRY = 2n ** 62n;

const emptyCell = (): Cell => ({ count: 0n, micro: 0n });

/** Reads part of a range that lies in one hash. */
interface ChunkRead {
  readonly command: Command;
  /** Number, within the range, of the first bucket read. */
  readonly first: number;
}

/** The cell of every bucket of a range, oldest first, added up over the partitions. */
export async function readSeries(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counter: Counter,
  owner: CellOwner,
  range: Range,
): Promise<Cell[]> {
  const cells = Array.from({ length: (range.to - range.from) / range.window.ms }, emptyCell);
  await Promise.all(
    partitions.map(async (partition) => {
      const reads = chunkReads(partition, counter, owner, range);
      const replies = await pipelined(
        client,
        reads.map(({ command }) => command),
      );
      for (const [i, { first }] of reads.entries()) {
        for (const [offset, cell] of cellsOf(replies[i], counter)) add(cells[first + offset] as Cell, cell);
      }
    }),
  );
  return cells;
}

/** For each owner, all cells of all ranges added up, over the partitions. */
export async function readSums(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counter: Counter,
  owners: readonly CellOwner[],
  ranges: readonly Range[],
): Promise<Cell[]> {
  const sums = owners.map(emptyCell);
  await Promise.all(
    partitions.map(async (partition) => {
      const reads = owners.flatMap((owner, i) =>
        ranges.flatMap((range) => chunkReads(partition, counter, owner, range)).map(({ command }) => ({ command, i })),
      );
      const replies = await pipelined(
        client,
        reads.map(({ command }) => command),
      );
      for (const [r, { i }] of reads.entries()) {
        for (const [, cell] of cellsOf(replies[r], counter)) add(sums[i] as Cell, cell);
      }
    }),
  );
  return sums;
}

function chunkReads(partition: PartitionKeys, counter: Counter, owner: CellOwner, range: Range): ChunkRead[] {
  const { window, from, to } = range;
  const keys = partition.window(counter, window);
  const reads: ChunkRead[] = [];
  for (let start = from; start < to; ) {
    const chunk = keys.chunk(start);
    const first = (start - from) / window.ms;
    const fields: string[] = [];
    for (; start < to && keys.chunk(start) === chunk; start += window.ms) {
      const field = keys.field(start);
      for (const suffix of suffixes(counter)) fields.push(field + suffix);
    }
    reads.push({ command: ["hmget", keys.cells(chunk, owner), ...fields], first });
  }
  return reads;
}

function suffixes(counter: Counter): readonly string[] {
  const { count, units, micros, carries } = CELL_FIELDS;
  return counter.sum ? [count, units, micros, carries] : [count];
}

/** The cells that exist in a chunk's reply, each with its number within what was read. */
function* cellsOf(reply: unknown, counter: Counter): Generator<[offset: number, cell: Cell]> {
  const values = reply as (string | null)[];
  const width = suffixes(counter).length;
  const number = (at: number) => BigInt(values[at] ?? 0);
  for (let at = 0; at < values.length; at += width) {
    if (values[at] === null) continue;
    const micro = counter.sum ? (number(at + 1) + number(at + 3) * CARRY) * MICRO + number(at + 2) : 0n;
    yield [at / width, { count: number(at), micro }];
  }
}

function add(sum: Cell, cell: Cell): void {
  sum.count += cell.count;
  sum.micro += cell.micro;
}

export function sumCells(cells: readonly Cell[]): Cell {
  const sum = emptyCell();
  for (const cell of cells) add(sum, cell);
  return sum;
}
