const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 16;

/** Drawn for many ids at a time: asking for randomness costs more than the rest of an id. */
const pool = new Uint8Array(RANDOM_DIGITS * 256);
let used = pool.length;

/**
 * A ULID (https://github.com/ulid/spec): 48 bits of time, 80 random bits, in Crockford's base 32.
 *
 * @param time epoch milliseconds
 */
export function makeUlid(time: number): string {
  let text = "";
  let rest = Math.floor(time);
  for (let i = 0; i < TIME_DIGITS; i++) {
    text = ALPHABET[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  if (used === pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  for (const end = used + RANDOM_DIGITS; used < end; used++) text += ALPHABET[(pool[used] as number) & 31];
  return text;
}
