import { createHash } from "node:crypto";

/** An index of Postgres takes entries of up to 2,700 bytes; keys may be much longer. */
const INDEXED_MAX = 1_000;
const PREFIX_BYTES = 960;

/**
 * An owner as the index holds it: itself, or, when it is long, its beginning and its SHA-256. In the order of these
 * owners stand in byte order, except long ones that begin alike.
 */
export function indexedOwner(owner: Buffer): Buffer {
  if (owner.length <= INDEXED_MAX) return owner;
  return Buffer.concat([owner.subarray(0, PREFIX_BYTES), createHash("sha256").update(owner).digest()]);
}

/** The full text where the index does not hold it. */
export function longOwner(owner: Buffer): Buffer | null {
  return owner.length <= INDEXED_MAX ? null : owner;
}

/** Before every indexed form of an owner that comes after this one. */
export function indexedBound(owner: Buffer): Buffer {
  return owner.length <= PREFIX_BYTES ? owner : owner.subarray(0, PREFIX_BYTES);
}
