/** What all scripts take from the environment (`k6 run -e NAME=value`). */

export const SERVICE = __ENV.URL ?? "http://127.0.0.1:8080";
/** Where the run's manifest goes, for `tallymark verify --generated`. */
export const MANIFEST = __ENV.MANIFEST ?? "run.json";
export const SEED = integer("SEED", 1);
/** Seconds. */
export const DURATION = integer("DURATION", 30);
/** Requests with events, a second. */
export const RATE = integer("RATE", 20);
/** Events in a request. */
export const BATCH = integer("BATCH", 100);
/** Connected viewers, where there are any. */
export const VIEWERS = integer("VIEWERS", 20);
/** What 95 of 100 requests must stay under, ms; choose it for the machine. */
export const P95 = integer("P95", 500);
export const HEADERS: Record<string, string> = __ENV.API_KEY ? { authorization: `Bearer ${__ENV.API_KEY}` } : {};

/** The counter of `tallymark.config.json` here. */
export const COUNTER = "load";

export function integer(name: string, otherwise: number): number {
  const value = Number(__ENV[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name}: must be a whole number, not ${__ENV[name]}`);
  return value;
}
