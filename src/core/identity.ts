import { hash } from "node:crypto";

/**
 * The identity of an event, `(source, id)`, as the parts of the system use it.
 *
 * The hash is SHA-256 over a secret of the deployment, then source and id, cut short. Keyed, because a client that
 * could predict fingerprints could craft an id that makes somebody else's event look like a duplicate.
 */
export interface Identity {
  /** 64-bit fingerprint as a signed decimal, which Redis stores in 8 bytes. */
  readonly fingerprint: string;
  /** 32 further bits, for choosing partitions and subsets; independent of the fingerprint. */
  readonly spread: number;
}

export function identify(secret: string, source: string, id: string): Identity {
  // The length makes the concatenation unambiguous.
  const hex = hash("sha256", `${secret}${source.length}:${source}${id}`, "hex");
  halves.setUint32(0, wordAt(hex, 0));
  halves.setUint32(4, wordAt(hex, 8));
  return { fingerprint: halves.getBigInt64(0).toString(), spread: wordAt(hex, 16) };
}

/** Of a fingerprint, one after the other: parsing 16 digits as a BigInt takes as long as half of the hash. */
const halves = new DataView(new ArrayBuffer(8));

const HEX_DIGITS = new Uint8Array(128);
for (const [value, digit] of [..."0123456789abcdef"].entries()) HEX_DIGITS[digit.charCodeAt(0)] = value;

/** The 32 bits that eight hexadecimal digits stand for. */
function wordAt(hex: string, at: number): number {
  let word = 0;
  for (let i = at; i < at + 8; i++) word = (word << 4) | (HEX_DIGITS[hex.charCodeAt(i)] as number);
  return word >>> 0;
}

const ULID = /^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/** Value of a digit by its character code, either case: this runs for every event. */
const DIGITS = new Uint8Array(128);
for (const [value, digit] of [...CROCKFORD].entries()) {
  DIGITS[digit.charCodeAt(0)] = value;
  DIGITS[digit.toLowerCase().charCodeAt(0)] = value;
}

/**
 * Epoch milliseconds inside a ULID (https://github.com/ulid/spec: first ten Crockford base-32 digits) or UUIDv7
 * (RFC 9562, section 5.7: first 48 bits); `null` for any other id.
 */
export function identityTime(id: string): number | null {
  if (id.length === 26 && ULID.test(id)) {
    let time = 0;
    for (let i = 0; i < 10; i++) time = time * 32 + (DIGITS[id.charCodeAt(i)] as number);
    return time;
  }
  if (id.length === 36 && UUID_V7.test(id)) return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  return null;
}
