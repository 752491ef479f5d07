import { formatDuration } from "../core/duration.ts";
import type { Amount, Key } from "./api.ts";

/** Everything shown as text: in the viewer's language and time zone. */

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 6 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const rate = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clockShort = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayClock = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Every digit of a number, also of those that come as decimal strings because a double could not hold them. */
export const formatAmount = (amount: Amount): string => whole.format(amount as Intl.StringNumericLiteral);
export const formatCompact = (value: number): string => compact.format(value);
export const formatRate = (value: number): string => rate.format(value);
export const formatMoment = (time: string): string => moment.format(new Date(time));

/** Shows all amounts of a column with as many decimals as the longest has, so that their points stand in line. */
export function columnFormat(amounts: readonly Amount[]): (amount: Amount) => string {
  const decimals = amounts.map((amount) => String(amount).split(".")[1]?.length ?? 0);
  const digits = Math.min(6, Math.max(0, ...decimals));
  const format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: 6 });
  return (amount) => format.format(amount as Intl.StringNumericLiteral);
}

/** A bucket's start in as few words as its width allows. */
export function formatStart(ms: number, windowMs: number): string {
  if (windowMs >= 86_400_000) return day.format(ms);
  if (windowMs >= 3_600_000) return dayClock.format(ms);
  return (windowMs >= 60_000 ? clockShort : clock).format(ms);
}

/** A tick of the time axis; days are named where they begin. */
export function formatTick(ms: number, stepMs: number): string {
  const date = new Date(ms);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  if (stepMs >= 86_400_000 || isMidnight) return day.format(ms);
  return (stepMs >= 60_000 ? clockShort : clock).format(ms);
}

/** How long ago, or how far behind: `0.4 s`, `12 s`, `3 m 20 s`, `2 h 5 m`, `3 d 4 h`. */
export function formatAge(ms: number): string {
  if (ms < 1_000) return `${rate.format(Math.max(0, ms) / 1_000)} s`;
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1_000],
  ] as const;
  const first = units.findIndex(([, unit]) => ms >= unit);
  return units
    .slice(first, first + 2)
    .map(([name, unit], i) => `${Math.floor((i === 0 ? ms : ms % units[first]![1]) / unit)} ${name}`)
    .filter((text, i) => i === 0 || !text.startsWith("0 "))
    .join(" ");
}

/** `3600000` → `hour`, `900000` → `15 minutes`: what follows "per", "the last" or "the". */
export function spellDuration(ms: number): string {
  const text = formatDuration(ms);
  const count = Number.parseInt(text, 10);
  const unit = { s: "second", m: "minute", h: "hour", d: "day" }[text.at(-1) as "s" | "m" | "h" | "d"];
  return count === 1 ? (unit as string) : `${count} ${unit}s`;
}

/** The fields of a key in one line. Empty and blank ones would be invisible otherwise. */
export function formatKey(key: Key): string {
  return key
    .map((field) => (field.trim() === "" ? (field === "" ? "(empty)" : JSON.stringify(field)) : field))
    .join(" · ");
}
