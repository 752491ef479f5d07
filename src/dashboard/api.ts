import type { SeriesAnswer, StatsAnswer, TopAnswer } from "../client/types.ts";

/** Names for parts of the service's answers, which src/client describes. */

export type { BigNumber as Amount, SeriesAnswer, StatsAnswer as Stats, TopAnswer } from "../client/types.ts";
export type { CounterDefinition } from "../core/counter.ts";
export type { ProblemDocument } from "../core/problem.ts";

export type Key = readonly string[];
export type Measure = "count" | "sum" | "unique";
export type Bucket = SeriesAnswer["buckets"][number];
export type Ranked = TopAnswer["top"][number];
export type CounterLag = StatsAnswer["counters"][number];
