/**
 * Sums are kept in millionths ("micro-units"). One value is at most 9·10^9, so its micro-units fit a double exactly;
 * totals are bigints.
 */

/** Micro-units of one whole unit. */
export const MICRO = 1_000_000;

/**
 * A finite number, |v| ≤ 9·10^9 → whole micro-units, rounded half away from zero. The *decimal* text of the number is
 * rounded, not its binary value: 1.0000005 is a tie, although its double lies a little below.
 */
export function toMicro(value: number): number {
  if (Number.isInteger(value)) return value * MICRO;
  const magnitude = Math.abs(value);
  const sign = value < 0 ? -1 : 1;
  const text = String(magnitude);
  if (text.includes("e")) return magnitude >= 5e-7 ? sign : 0; // below 1e-6 JavaScript writes an exponent
  const [whole, fraction = ""] = text.split(".");
  const kept = Number(fraction.slice(0, 6).padEnd(6, "0"));
  const roundUp = fraction.charCodeAt(6) >= 53; // '5'
  return sign * (Number(whole) * MICRO + kept + (roundUp ? 1 : 0)) || 0; // never -0
}

/** Micro-units → what an answer shows: a JSON number up to 2^53−1 micro-units, else a decimal string. */
export function showSum(micro: bigint): number | string {
  if (isSafe(micro)) return Number(micro) / MICRO;
  const magnitude = micro < 0n ? -micro : micro;
  const fraction = (magnitude % 1_000_000n).toString().padStart(6, "0").replace(/0+$/, "");
  return `${micro < 0n ? "-" : ""}${magnitude / 1_000_000n}${fraction ? `.${fraction}` : ""}`;
}

/** A count → a JSON number up to 2^53−1, else a decimal string. */
export function showCount(count: bigint): number | string {
  return isSafe(count) ? Number(count) : count.toString();
}

function isSafe(value: bigint): boolean {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER);
}
