import { TIME_MAX_MS } from "./limits.ts";

const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:([Zz])|([+-])(\d{2}):(\d{2}))$/;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function daysInMonth(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : (DAYS[month - 1] ?? 0);
}

/**
 * RFC 3339 text → epoch milliseconds (finer fractions are cut off), or `null`. `Date.parse` is not used because it
 * accepts other forms and turns 30 February into March. A leap second counts as the second after it.
 */
export function parseRfc3339(text: string): number | null {
  const m = RFC3339.exec(text);
  if (!m) return null;
  const [year, month, day, hour, minute, second] = m.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (day < 1 || day > daysInMonth(year, month) || hour > 23 || minute > 59 || second > 60) return null;
  const millis = m[7] ? Number(m[7].slice(0, 3).padEnd(3, "0")) : 0;
  let ms = Date.UTC(year, month - 1, day, hour, minute, second, millis);
  if (m[9]) {
    const [h, min] = [Number(m[10]), Number(m[11])];
    if (h > 23 || min > 59) return null;
    ms -= (m[9] === "-" ? -1 : 1) * (h * 60 + min) * 60_000;
  }
  return inRange(ms) ? ms : null;
}

/** RFC 3339 text or epoch milliseconds (a number) → epoch milliseconds within the years 1970 to 9999, or `null`. */
export function parseTime(value: unknown): number | null {
  if (typeof value === "number") return Number.isInteger(value) && inRange(value) ? value : null;
  return typeof value === "string" ? parseRfc3339(value) : null;
}

/** The same for a query parameter, where epoch milliseconds come as digits. */
export function parseTimeParameter(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? parseTime(Number(text)) : parseRfc3339(text);
}

function inRange(ms: number): boolean {
  return ms >= 0 && ms <= TIME_MAX_MS;
}

/** Epoch milliseconds → RFC 3339 UTC with milliseconds. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString();
}
