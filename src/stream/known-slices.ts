import type { Identity } from "../core/identity.ts";

/** Ids that are held at most, in 24 to 48 bytes each, and slices, of a second each. */
const IDS_MAX = 2 ** 18;
const SLICES_MAX = 64;

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

  constructor(idsMax = IDS_MAX) {
    this.#idsMax = idsMax;
  }

  of(family: string): Slice | undefined {
    return this.#slices.get(family);
  }

  /** A family of which nothing is remembered. */
  begin(family: string): void {
    const slice = this.#spare ?? new Slice();
    this.#spare = null;
    slice.clear();
    this.#slices.set(family, slice);
  }

  /** Forgets the oldest slices where there is too much. */
  trim(): void {
    let ids = 0;
    for (const { size } of this.#slices.values()) ids += size;
    for (const [family, slice] of this.#slices) {
      if (ids <= this.#idsMax && this.#slices.size <= SLICES_MAX) return;
      this.#slices.delete(family);
      this.#spare = slice;
      ids -= slice.size;
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

const SLOTS_MIN = 256;
/** Words of a slot: the fingerprint's lower nine digits and one, its other digits, and the spread. */
const WORDS = 3;
const LOWER_DIGITS = 9;
const ZERO = 48;

/**
 * Ids of one slice: a table with open addressing, without an object for each, since they stay for a while. Of the 96 bits
 * that identify an id it compares 93: the sign of the fingerprint is left out, and two bits of its upper digits.
 */
export class Slice {
  /** Arrival of the last entry of a batch that put something in, ms. */
  last = Number.NEGATIVE_INFINITY;
  /** At most half of the slots are taken; the first word of those that are not is 0. */
  #words = new Uint32Array(SLOTS_MIN * WORDS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.last = Number.NEGATIVE_INFINITY;
    this.#words.fill(0);
    this.#size = 0;
  }

  /** False if it is there already. */
  add({ fingerprint, spread }: Identity): boolean {
    const middle = Math.max(0, fingerprint.length - LOWER_DIGITS);
    const lower = digitsOf(fingerprint, middle, fingerprint.length) + 1;
    const isNew = this.#put(lower, digitsOf(fingerprint, 0, middle), spread);
    if (isNew && 2 * ++this.#size * WORDS > this.#words.length) this.#grow();
    return isNew;
  }

  #put(lower: number, upper: number, spread: number): boolean {
    const words = this.#words;
    const mask = words.length / WORDS - 1;
    for (let slot = lower & mask; ; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (words[at] === 0) {
        words[at] = lower;
        words[at + 1] = upper;
        words[at + 2] = spread;
        return true;
      }
      if (words[at] === lower && words[at + 1] === upper && words[at + 2] === spread) return false;
    }
  }

  #grow(): void {
    const words = this.#words;
    this.#words = new Uint32Array(2 * words.length);
    for (let at = 0; at < words.length; at += WORDS) {
      if (words[at] !== 0) this.#put(words[at] as number, words[at + 1] as number, words[at + 2] as number);
    }
  }
}

/** The number that the digits of a part stand for, modulo 2^32. */
function digitsOf(text: string, from: number, to: number): number {
  let number = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit >= 0) number = Math.imul(number, 10) + digit;
  }
  return number >>> 0;
}
