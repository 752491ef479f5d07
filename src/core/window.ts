/** A window width of a counter. Buckets are half-open, aligned to the Unix epoch, and named by their start. */
export interface Window {
  /** As the definition spells it. */
  readonly label: string;
  /** Width, milliseconds. */
  readonly ms: number;
}

/** Start of the bucket that holds `time`. */
export function bucketStart(time: number, windowMs: number): number {
  return time - (time % windowMs);
}

/** End of the last bucket of a span that ends at `time`. */
export function bucketCeil(time: number, windowMs: number): number {
  const rest = time % windowMs;
  return rest === 0 ? time : time + windowMs - rest;
}

/** Buckets `[from, to)` of one window; both are bucket starts. */
export interface Range {
  readonly window: Window;
  readonly from: number;
  readonly to: number;
}

/**
 * The fewest buckets over all windows that make up `[from, to)` exactly, oldest first. Since each window divides the
 * next, taking the widest that fits in the middle and narrower ones towards both ends is the fewest.
 *
 * @param windows finest first; `from` and `to` are aligned to the finest
 * @param whole for each window, where its buckets may be taken, in order; absent: everywhere
 */
export function coverSpan(
  windows: readonly Window[],
  from: number,
  to: number,
  whole: readonly (readonly Interval[])[] = windows.map(() => [EVERYWHERE]),
): Range[] {
  if (from >= to) return [];
  const widest = windows.length - 1;
  const window = windows[widest] as Window;
  const cover = (start: number, end: number) => coverSpan(windows.slice(0, widest), start, end, whole.slice(0, widest));
  const ranges: Range[] = [];
  let covered = from;
  for (const interval of whole[widest] as readonly Interval[]) {
    const start = bucketCeil(Math.max(covered, interval.from), window.ms);
    const end = bucketStart(Math.min(to, interval.to), window.ms);
    if (start >= end) continue;
    ranges.push(...cover(covered, start), { window, from: start, to: end });
    covered = end;
  }
  return [...ranges, ...cover(covered, to)];
}

/** `[from, to)`, ms. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

export const EVERYWHERE: Interval = { from: 0, to: Number.POSITIVE_INFINITY };

/** How many buckets the ranges hold. */
export function countBuckets(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { window, from, to }) => sum + (to - from) / window.ms, 0);
}
