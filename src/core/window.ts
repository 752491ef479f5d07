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
 * @param ends for each window, up to where its buckets may be taken, ms; absent: everywhere
 */
export function coverSpan(
  windows: readonly Window[],
  from: number,
  to: number,
  ends: readonly number[] = windows.map(() => Number.POSITIVE_INFINITY),
): Range[] {
  if (from >= to) return [];
  const widest = windows.length - 1;
  const window = windows[widest] as Window;
  const cover = (start: number, end: number) => coverSpan(windows.slice(0, widest), start, end, ends.slice(0, widest));
  const start = bucketCeil(from, window.ms);
  const end = bucketStart(Math.min(to, ends[widest] as number), window.ms);
  if (start >= end) return cover(from, to);
  return [...cover(from, start), { window, from: start, to: end }, ...cover(end, to)];
}

/** How many buckets the ranges hold. */
export function countBuckets(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { window, from, to }) => sum + (to - from) / window.ms, 0);
}
