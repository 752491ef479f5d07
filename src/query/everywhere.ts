import { type Cell, emptyCell, placeIn, type Row, readSeries, readSums } from "../buckets/cells.ts";
import { hotParts, marksOf } from "../buckets/parts.ts";
import { Sketches } from "../buckets/sketches.ts";
import { type CounterState, type Holding, readCounterState } from "../buckets/state.ts";
import type { Database } from "../cold/database.ts";
import { type ColdSpan, seriesCold, sketchesCold, sumCold } from "../cold/reader.ts";
import type { Counter } from "../core/counter.ts";
import { bucketStart, type Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { type CellOwner, ownerBytes, type PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";

export interface EverywhereDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly isCluster: boolean;
  readonly cold: Database;
}

/** A clock ticks once a second, and marks move as often at most. */
const REMEMBERED_MS = 1_000;

/** One lookup's view of a counter: what lies where, and when to give up. */
export interface View {
  readonly counter: Counter;
  readonly holdings: readonly Holding[];
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads buckets wherever they lie: those that have left Redis from cold storage, all others from Redis, which is read
 * first. Marks tell which is which, see `readPart`.
 */
export class Everywhere {
  readonly deps: EverywhereDependencies;
  readonly #sketches: Sketches;
  /** Looks of this turn of the event loop, by generation of the counter. */
  readonly #looks = new Map<number, Promise<CounterState>>();
  /** The latest states, and when they were asked for. */
  readonly #remembered = new Map<number, { readonly state: CounterState; readonly at: number }>();

  constructor(deps: EverywhereDependencies) {
    this.deps = deps;
    this.#sketches = new Sketches(deps.client, deps.partitions, deps.isCluster);
  }

  /**
   * The state of a counter, as it is after everything that this turn of the event loop has read: whoever asks within
   * the turn shares one look, which is sent at its end (see `joiningWrites`).
   */
  look(counter: Counter): Promise<CounterState> {
    const { generation } = counter;
    let look = this.#looks.get(generation);
    if (!look) {
      look = readCounterState(this.deps.client, this.deps.partitions, counter);
      this.#looks.set(generation, look);
      setImmediate(() => this.#looks.delete(generation));
      const at = performance.now();
      const remember = (state: CounterState) => this.#remembered.set(generation, { state, at });
      look.then(remember, () => this.#remembered.delete(generation));
    }
    return look;
  }

  /**
   * The state that was seen last, if that is so short ago that a plan made on it is likely to hold. On a cluster there is
   * none: nothing there says that a look which was sent before a read is answered before it.
   */
  remembered({ generation }: Counter): CounterState | null {
    if (this.deps.isCluster) return null;
    const remembered = this.#remembered.get(generation);
    if (!remembered) return null;
    if (performance.now() - remembered.at <= REMEMBERED_MS) return remembered.state;
    this.#remembered.delete(generation);
    return null;
  }

  /** For each owner, all cells of the ranges added up. */
  async sums(view: View, owners: readonly CellOwner[], ranges: readonly Range[]): Promise<Cell[]> {
    const { counter, holdings, signal } = view;
    const cells = await readSums(this.deps, counter, hotParts(counter, holdings, ranges), owners);
    const spans = coldSpans(counter, holdings, ranges);
    if (spans.length === 0 || owners.length === 0) return cells;
    const names = owners.map(ownerBytes);
    const found = await sumCold(this.deps.cold, counter.generation, names, spans, signal);
    return cells.map(({ count, micro }, i) => {
      const cold = found.get((names[i] as Buffer).toString("latin1")) ?? emptyCell();
      return { count: count + cold.count, micro: micro + cold.micro };
    });
  }

  /** The cell of every bucket of a row, which the ranges make up. */
  async series(view: View, owner: CellOwner, row: Row, ranges: readonly Range[]): Promise<Cell[]> {
    const { counter, holdings, signal } = view;
    const cells = Array.from({ length: row.length }, emptyCell);
    await readSeries(this.deps.client, counter, hotParts(counter, holdings, ranges), owner, row, cells);
    const spans = coldSpans(counter, holdings, ranges);
    if (spans.length === 0) return cells;
    const rows = await seriesCold(this.deps.cold, counter.generation, ownerBytes(owner), spans, signal);
    for (const { start, count, micro } of rows) {
      const cell = cells[placeIn(row, start)] as Cell;
      cell.count += count;
      cell.micro += micro;
    }
    return cells;
  }

  /** Estimate of the distinct members over all ranges together. */
  async distinct(view: View, owner: CellOwner, ranges: readonly Range[]): Promise<number> {
    const { counter, holdings } = view;
    const sketches = await this.#coldSketches(view, owner, ranges);
    const bytes = sketches.map(({ sketch }) => sketch);
    return this.#sketches.countUnion(counter, owner, hotParts(counter, holdings, ranges), bytes);
  }

  /** Estimate of the distinct members of every bucket of a row, which the ranges make up. */
  async distinctSeries(view: View, owner: CellOwner, row: Row, ranges: readonly Range[]): Promise<number[]> {
    const { counter, holdings } = view;
    const byStart = new Map<number, Buffer[]>();
    for (const { start, sketch } of await this.#coldSketches(view, owner, ranges)) {
      const around = bucketStart(start, row.ms);
      byStart.set(around, [...(byStart.get(around) ?? []), sketch]);
    }
    const parts = hotParts(counter, holdings, ranges);
    return this.#sketches.countSeries(counter, owner, parts, row, (start) => byStart.get(start) ?? []);
  }

  async #coldSketches({ counter, holdings, signal }: View, owner: CellOwner, ranges: readonly Range[]) {
    const spans = coldSpans(counter, holdings, ranges);
    if (spans.length === 0) return [];
    return sketchesCold(this.deps.cold, counter.generation, ownerBytes(owner), spans, signal);
  }
}

/** The parts of the ranges that have left Redis; partitions that agree share a span. */
export function coldSpans(counter: Counter, holdings: readonly Holding[], ranges: readonly Range[]): ColdSpan[] {
  return ranges.flatMap((range) => {
    const byEnd = new Map<number, number[]>();
    for (const holding of holdings) {
      const to = Math.min(range.to, marksOf(counter, holding, range).hot);
      if (range.from < to) byEnd.set(to, [...(byEnd.get(to) ?? []), holding.partition.partition]);
    }
    return [...byEnd].map(([to, partitions]) => ({ windowMs: range.window.ms, from: range.from, to, partitions }));
  });
}
