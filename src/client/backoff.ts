/** Longest delay before another try, unless the service asks for a longer one, ms. */
export const DELAY_MS_MAX = 10_000;
const DELAY_MS_FIRST = 100;

/**
 * How long to wait before a try: twice as long each time, drawn at random from the upper half, so that clients that
 * failed together do not come back together. Never less than the service asked for.
 *
 * @param attempt tries that failed so far, from 1
 * @param askedMs what the service asked for; `null`: nothing
 */
export function retryDelay(attempt: number, askedMs: number | null): number {
  const full = Math.min(DELAY_MS_MAX, DELAY_MS_FIRST * 2 ** Math.min(attempt - 1, 20));
  const drawn = full / 2 + (Math.random() * full) / 2;
  // On top of what was asked, a little of one's own, for the same reason.
  return askedMs === null ? drawn : Math.max(drawn, askedMs + Math.random() * DELAY_MS_FIRST);
}

/** Seconds or an HTTP date (RFC 9110, section 10.2.3) → milliseconds from now; `null` when it is neither. */
export function parseRetryAfter(text: string | null, now: number): number | null {
  if (text === null) return null;
  if (/^\s*\d+\s*$/.test(text)) return Number(text) * 1_000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
