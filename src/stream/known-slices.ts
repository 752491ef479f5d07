import { IdTable } from "./id-table.ts";

/** Ids that are held at most, in 24 to 48 bytes each, and slices, of a second each. */
const IDS_MAX = 2 ** 18;
const SLICES_MAX = 64;

/** What is remembered of one family. */
export class Slice {
  readonly ids: IdTable;
  /** Arrival of the last entry of a batch that put something in, ms. */
  last = Number.NEGATIVE_INFINITY;

  constructor(expected: number) {
    this.ids = new IdTable(expected);
  }
}

/**
 * Slices of ids with a time of which all that is remembered is known here, since a batch found them empty: only applying adds
 * to them. Redis need not be asked about their ids, for as long as as many entries are applied as is expected, which the
 * script checks. What a batch remembers is added as it is planned, so all must be forgotten if that is not what is sent next.
 */
export class KnownSlices {
  /** By family, those that began first in front. */
  readonly #slices = new Map<string, Slice>();
  readonly #idsMax: number;
  /** The last one that was forgotten: its table is used again, since allocating large ones makes work for the collector. */
  #spare: Slice | null = null;
  #newest: Slice | null = null;

  constructor(idsMax = IDS_MAX) {
    this.#idsMax = idsMax;
  }

  of(family: string): Slice | undefined {
    return this.#slices.get(family);
  }

  /** A family of which nothing is remembered. */
  begin(family: string): void {
    // As many as the one before, since growing leaves garbage behind.
    const slice = this.#spare ?? new Slice(this.#newest?.ids.size ?? 0);
    this.#spare = null;
    this.#newest = slice;
    slice.ids.clear();
    slice.last = Number.NEGATIVE_INFINITY;
    this.#slices.set(family, slice);
  }

  /** Forgets the oldest slices where there is too much. */
  trim(): void {
    let held = 0;
    for (const { ids } of this.#slices.values()) held += ids.size;
    for (const [family, slice] of this.#slices) {
      if (held <= this.#idsMax && this.#slices.size <= SLICES_MAX) return;
      this.#slices.delete(family);
      this.#spare = slice;
      held -= slice.ids.size;
    }
  }

  /** Forgets slices whose last insertion arrived before `bound`, ms: these are dropped, see lua/drop.lua. */
  forgetBefore(bound: number): void {
    for (const [family, { last }] of this.#slices) if (last < bound) this.#slices.delete(family);
  }

  clear(): void {
    this.#slices.clear();
  }
}
