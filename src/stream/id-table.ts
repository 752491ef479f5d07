import type { Identity } from "../core/identity.ts";

/** Words of a slot: the fingerprint's lower nine digits and one, its other digits, and the spread. */
const WORDS = 3;
const LOWER_DIGITS = 9;
const ZERO = 48;

/**
 * A set of ids: a table with open addressing, without a text or an object for each. Of the 96 bits that identify an id it
 * compares 93: the sign of the fingerprint is left out, and two bits of its upper digits.
 */
export class IdTable {
  /** At most half of the slots are taken, so that a free one is near; the first word of those that are not is 0. */
  #words: Uint32Array;
  #size = 0;

  /** @param expected for how many there is room without growing */
  constructor(expected: number) {
    this.#words = new Uint32Array(2 ** Math.ceil(Math.log2(2 * Math.max(1, expected))) * WORDS);
  }

  get size(): number {
    return this.#size;
  }

  has(identity: Identity): boolean {
    const lower = lowerOf(identity);
    return this.#words[this.#placeOf(lower, upperOf(identity), identity.spread)] === lower;
  }

  /** False if it is there already. */
  add(identity: Identity): boolean {
    const [lower, upper] = [lowerOf(identity), upperOf(identity)];
    const at = this.#placeOf(lower, upper, identity.spread);
    if (this.#words[at] !== 0) return false;
    this.#put(at, lower, upper, identity.spread);
    if (2 * ++this.#size * WORDS > this.#words.length) this.#grow();
    return true;
  }

  /** Keeps its room. */
  clear(): void {
    this.#words.fill(0);
    this.#size = 0;
  }

  /** Where it is or would be. */
  #placeOf(lower: number, upper: number, spread: number): number {
    const words = this.#words;
    const mask = words.length / WORDS - 1;
    for (let slot = lower & mask; ; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (words[at] === 0) return at;
      if (words[at] === lower && words[at + 1] === upper && words[at + 2] === spread) return at;
    }
  }

  #put(at: number, lower: number, upper: number, spread: number): void {
    this.#words[at] = lower;
    this.#words[at + 1] = upper;
    this.#words[at + 2] = spread;
  }

  #grow(): void {
    const words = this.#words;
    this.#words = new Uint32Array(2 * words.length);
    for (let at = 0; at < words.length; at += WORDS) {
      const [lower, upper, spread] = [words[at] as number, words[at + 1] as number, words[at + 2] as number];
      if (lower !== 0) this.#put(this.#placeOf(lower, upper, spread), lower, upper, spread);
    }
  }
}

const middleOf = ({ fingerprint }: Identity): number => Math.max(0, fingerprint.length - LOWER_DIGITS);
const lowerOf = (identity: Identity): number => 1 + digitsOf(identity, middleOf(identity), identity.fingerprint.length);
const upperOf = (identity: Identity): number => digitsOf(identity, 0, middleOf(identity));

/** The number that some digits of a fingerprint stand for, modulo 2^32. */
function digitsOf({ fingerprint }: Identity, from: number, to: number): number {
  let number = 0;
  for (let i = from; i < to; i++) {
    const digit = fingerprint.charCodeAt(i) - ZERO;
    // A sign is none.
    if (digit >= 0) number = Math.imul(number, 10) + digit;
  }
  return number >>> 0;
}
