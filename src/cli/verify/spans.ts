import { PLAN_BUCKETS_MAX, SERIES_BUCKETS_MAX } from "../../core/limits.ts";
import { bucketCeil, bucketStart, countBuckets, coverSpan, type Window } from "../../core/window.ts";

/** Epoch ms, half-open. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** The span in one piece if one lookup can answer for it, else in pieces that each can. */
export function lookupPieces(windows: readonly Window[], { from, to }: Span): Span[] {
  if (countBuckets(coverSpan(windows, from, to)) <= PLAN_BUCKETS_MAX) return [{ from, to }];
  const widest = windows.at(-1) as Window;
  return cut({ from: bucketStart(from, widest.ms), to: bucketCeil(to, widest.ms) }, PLAN_BUCKETS_MAX * widest.ms);
}

/**
 * Spans of one window that hold all the given buckets and one more at each side, none longer than a series may be.
 * Long stretches without data are left out: seconds of the 1970s and of today must not cost decades of seconds.
 */
export function seriesPieces(starts: Iterable<number>, windowMs: number): Span[] {
  const sorted = [...starts].sort((a, b) => a - b);
  const runs: { from: number; to: number }[] = [];
  for (const start of sorted) {
    const run = runs.at(-1);
    const from = Math.max(0, start - windowMs);
    if (run && from - run.to <= SERIES_BUCKETS_MAX * windowMs) run.to = start + 2 * windowMs;
    else runs.push({ from, to: start + 2 * windowMs });
  }
  return runs.flatMap((run) => cut(run, SERIES_BUCKETS_MAX * windowMs));
}

function cut({ from, to }: Span, ms: number): Span[] {
  const pieces: Span[] = [];
  for (let start = from; start < to; start += ms) pieces.push({ from: start, to: Math.min(to, start + ms) });
  return pieces;
}
