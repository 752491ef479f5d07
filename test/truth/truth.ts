import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

/**
 * The folder of the real logs and their truth files. They are large and not ours to publish, so they lie outside the
 * project; where the variable is unset, the suites that need them are skipped.
 */
export const DATA_DIR = process.env.TALLYMARK_TEST_DATA;

export type Dataset = "nasa-1995-08-01" | "wiki-2015-09-12";

/** What the shared `counters.json` counts of each log: a dimension of the truth → the counter by that dimension. */
export const COUNTERS: Readonly<Record<Dataset, Readonly<Record<string, string>>>> = {
  "nasa-1995-08-01": { key: "hits", status: "statuses" },
  "wiki-2015-09-12": { key: "edits", channel: "channels" },
};

export interface LogEvent {
  readonly id: string;
  readonly type: string;
  readonly time: string;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Instants as the truth writes them: `1995-08-01T06:00:00Z`. */
export type Instant = string;

export interface Figures {
  readonly events: number;
  readonly distinct_users: number;
  readonly value_sum: string;
  readonly value_count: number;
  readonly by_type?: Readonly<Record<string, number>>;
}

export type Ranked = readonly [key: string, events: number];

/** Every key whose count equals the last listed one's, the listed ones included; only their number when many. */
export type Ties = readonly string[] | { readonly count: number; readonly keys_with_this_count: number };

export interface SlidingWindow {
  readonly from: Instant;
  readonly to_exclusive: Instant;
  readonly minutes: number;
  readonly events: number;
  readonly distinct_users: number;
  readonly top10: readonly Ranked[];
  readonly tied_at_cut: Ties;
}

export interface KeyTruth extends Figures {
  readonly per_day: Readonly<Record<Instant, Figures>>;
  readonly per_hour: Readonly<Record<Instant, Figures>>;
  readonly per_minute: Readonly<Record<Instant, number>>;
}

export interface DimensionTruth {
  readonly cardinality: number;
  readonly top1_share: number;
  readonly top10_share: number;
  readonly top100_share: number;
  readonly singletons: number;
  readonly longest_key_utf8_bytes: number;
  readonly longest_key: string;
  readonly non_ascii_keys: number;
  readonly astral_keys: number;
  readonly keys_lost_if_case_folded: number;
  readonly empty_keys: number;
  readonly distinct_dim_user_pairs: number;
  readonly top20: readonly (Figures & { readonly key: string })[];
  readonly top20_tied_at_cut: Ties;
  readonly busiest_hour_top20: {
    readonly hour: Instant;
    readonly top20: readonly Ranked[];
    readonly tied_at_cut: Ties;
  };
  readonly top20_by_distinct_users: { readonly top20: readonly Ranked[]; readonly tied_at_cut: Ties };
  readonly top5: Readonly<Record<string, KeyTruth>>;
  readonly top5_each_hour: Readonly<Record<Instant, { readonly top5: readonly Ranked[]; readonly tied_at_cut: Ties }>>;
  readonly sliding_windows: readonly SlidingWindow[];
}

export interface Truth {
  readonly dataset: Dataset;
  readonly events: number;
  readonly distinct_ids: number;
  readonly time_min: string;
  readonly time_max: string;
  readonly value: { readonly sum: string };
  readonly distinct_users: number;
  readonly by_type: Readonly<Record<string, Figures>>;
  readonly peaks: {
    readonly hour: readonly [Instant, number];
    readonly minute: readonly (readonly [Instant, number])[];
  };
  readonly per_day: Readonly<Record<Instant, Figures>>;
  readonly per_hour: Readonly<Record<Instant, Figures>>;
  readonly per_minute: Readonly<Record<Instant, number>>;
  readonly dims: Readonly<Record<string, DimensionTruth>>;
}

export function loadTruth(dataset: Dataset): Truth {
  return JSON.parse(readData(`${dataset}.truth.json.gz`)) as Truth;
}

/** The log's lines, unparsed: what is posted is what was recorded. */
export function loadLines(dataset: Dataset): string[] {
  return readData(`${dataset}.ndjson.gz`).trimEnd().split("\n");
}

export function loadCounters(): unknown {
  return JSON.parse(readFileSync(join(dataDirectory(), "counters.json"), "utf8"));
}

function readData(name: string): string {
  return gunzipSync(readFileSync(join(dataDirectory(), name))).toString("utf8");
}

function dataDirectory(): string {
  if (!DATA_DIR) throw new Error("TALLYMARK_TEST_DATA is not set");
  return DATA_DIR;
}
