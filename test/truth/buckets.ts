import type { Path } from "./coverage.ts";
import { type ExpectedBucket, figurePaths, fromFigures } from "./expectation.ts";
import type { Figures, Instant } from "./truth.ts";

/** Half-open, as in the questions. */
export interface Span {
  readonly from: string;
  readonly to: string;
}

type PerInstant<T> = Readonly<Record<Instant, T>>;

export function figureBuckets(figures: PerInstant<Figures>): ExpectedBucket[] {
  return Object.entries(figures).map(([start, of]) => ({ start: Date.parse(start), ...fromFigures(of) }));
}

export function countBuckets(counts: PerInstant<number>): ExpectedBucket[] {
  return Object.entries(counts).map(([start, count]) => ({ start: Date.parse(start), count }));
}

export function bucketPaths(at: Path, figures: PerInstant<Figures>): Path[] {
  return Object.keys(figures).flatMap((start) => figurePaths([...at, start]));
}

export function countPaths(at: Path, counts: PerInstant<number>): Path[] {
  return Object.keys(counts).map((start) => [...at, start]);
}
