import { parseDuration } from "../core/duration.ts";
import type { Amount, Measure, SeriesAnswer } from "./api.ts";
import { formatAmount, formatStart } from "./format.ts";

/** Several series of one counter on one time axis. */
export interface ChartData {
  /** Starts of the buckets, epoch ms, oldest first. */
  readonly starts: readonly number[];
  /** Whether a bucket can no longer change. */
  readonly final: readonly boolean[];
  /** One column a series; `null` where a series has not come so far yet. */
  readonly columns: readonly (readonly (Amount | null)[])[];
}

/** Series arrive one after another, so for a moment one may be a bucket ahead of the others. */
export function alignSeries(series: readonly SeriesAnswer[], measure: Measure): ChartData {
  const final = new Map<number, boolean>();
  const amounts = series.map(({ buckets }) => {
    const column = new Map<number, Amount>();
    for (const bucket of buckets) {
      const start = Date.parse(bucket.start);
      column.set(start, bucket[measure] ?? 0);
      final.set(start, (final.get(start) ?? true) && bucket.final);
    }
    return column;
  });
  const starts = [...final.keys()].sort((a, b) => a - b);
  return {
    starts,
    final: starts.map((start) => final.get(start) as boolean),
    columns: amounts.map((column) => starts.map((start) => column.get(start) ?? null)),
  };
}

/** The finest window of which a span has at most so many buckets; else the widest. */
export function pickWindow(windows: readonly string[], spanMs: number, bucketsMax: number): string {
  const fitting = windows.find((label) => spanMs / (parseDuration(label) ?? 1) <= bucketsMax);
  return fitting ?? windows.at(-1) ?? "";
}

export interface Line {
  readonly label: string;
  /** Its place among the colours: 0 is the total's. */
  readonly colour: number;
}

/** What a chart shows, in a few sentences for those who do not see it. */
export function describeChart(
  title: string,
  lines: readonly Line[],
  { starts, final, columns }: ChartData,
  windowMs: number,
): string {
  const parts = lines.map(({ label }, i) => {
    const column = columns[i] ?? [];
    const values = column.map((amount) => Number(amount ?? 0));
    const peak = values.indexOf(Math.max(...values));
    if (peak < 0) return `${label}: no data.`;
    const latest = column.at(-1) ?? 0;
    const at = formatStart(starts[peak] as number, windowMs);
    return `${label}: latest ${formatAmount(latest)}, highest ${formatAmount(column[peak] ?? 0)} at ${at}.`;
  });
  const open = final.filter((isFinal) => !isFinal).length;
  return [`${title}.`, ...parts, `${open} of ${final.length} buckets are still open.`].join(" ");
}
