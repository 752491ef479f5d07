import type { RedisClient } from "../client.ts";
import type { PartitionKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

/** One stream entry of a batch, and what becomes of its events if none is late. */
export interface BatchEntry {
  readonly id: string;
  /** Channel for the entry's outcome, `""` for none, and what to call the entry there. */
  readonly reply: string;
  readonly ticket: string;
  /** Was applied already, as the script has said: nothing of it is in the batch. */
  readonly skip: boolean;
  readonly applied: number;
  readonly duplicates: number;
  readonly late: number;
  readonly dead: number;
}

/** Fingerprints that are new, for one dedupe set, by its position in `keys`. */
export interface BatchInsert {
  readonly key: number;
  readonly fingerprints: readonly string[];
}

/** A counter with new events, and how far these bring its clock in this partition; times are ms. */
export interface BatchCounter {
  readonly generation: string;
  readonly lateness: number;
  readonly staged: boolean;
  readonly reached: Reached;
  /** The windows that are folded: number, from 1, field of the fold marks, width (ms). */
  readonly folds: readonly { readonly window: number; readonly field: string; readonly ms: number }[];
}

export interface Reached {
  /** Largest of `min(time, arrival)`, and the arrival of the first event that had it. */
  readonly clock: number;
  readonly arrival: number;
  readonly oldest: number;
  readonly newest: number;
}

/** What new events add up to: whole units and millionths apart, since their sum would leave a double's exact range. */
export interface BatchNumbers {
  readonly count: number;
  readonly units: number;
  readonly micros: number;
  /** `false` when none of them has one. */
  readonly members: readonly string[] | false;
}

/**
 * One finest bucket of one counter, with the numbers of its total. It is written to the finest window and to those others
 * that are not left to the fold; positions are of the first of these, and the others follow.
 */
export interface BatchBucket extends BatchNumbers {
  readonly counter: number;
  readonly start: number;
  /** End of the bucket, ms: it is closed once the counter's closed-to mark reaches it. */
  readonly last: number;
  /** For events that were late and count after all: the field that says so of the counter; `false` for all others. */
  readonly corrected: string | false;
  /** Start of the bucket around it, for every window, ms, and the position of all windows' sets of starts. */
  readonly starts: readonly string[];
  readonly startsAt: number;
  /** For each of the counter's `folds`, whether it is left to the fold. */
  readonly left: readonly boolean[];
  /** Field of the bucket in its cells' hashes, for each window that is written. */
  readonly fields: readonly string[];
  /** Position of the total's hashes, then sketches. */
  readonly total: number;
  /** Position of the indexes that are lists, and of the widest window's sorted one; 0 where only the total counts. */
  readonly lists: number;
  readonly sorted: number;
  /** How many of the written windows have a list. */
  readonly listed: number;
  readonly boards: number | false;
  /** `false`, or the bucket's events for the late ledger, where it may be closed. */
  readonly ledger: readonly LedgerRow[] | false;
}

/** An event as the late ledger of one counter takes it; entry, event and hit are counted through the batch. */
export interface LedgerRow {
  readonly entry: number;
  readonly event: number;
  readonly hit: number;
  readonly payload: string;
}

/**
 * One key in one finest bucket, as seven values: position of the bucket, position of the hashes, which the sketches follow,
 * the key's text (`false` for the keys refused by `keysMax`), and its numbers. A single member is no list.
 */
export type BatchCell = readonly [
  bucket: number,
  at: number,
  key: string | false,
  count: BatchNumbers["count"],
  units: BatchNumbers["units"],
  micros: BatchNumbers["micros"],
  members: BatchNumbers["members"] | string,
];

/** Everything that one script call needs; positions count from 1, as Lua does. */
export interface Batch {
  readonly version: number;
  readonly group: string;
  /** Entries applied when the batch's fingerprints were looked up, see `Seen`; `""` where there was nothing to look up. */
  readonly applied: string;
  /** Arrival of the last entry, ms. */
  readonly arrival: number;
  readonly boardSize: number;
  /** Buckets of a window that may be left to its fold. */
  readonly foldBehindMax: number;
  /** Net under the dropping of fingerprint sets, ms. */
  readonly fingerprintTtl: number;
  readonly entries: readonly BatchEntry[];
  readonly counters: readonly BatchCounter[];
  /** Of a batch from the lake: its number, from 1, and the field of the partition's state with that of the last one. */
  readonly rebuild?: { readonly field: string; readonly number: number };
  readonly buckets: readonly BatchBucket[];
  /** Cells, one behind the other: a batch has thousands of them, and a list of its own for each costs more than its values. */
  readonly cells: readonly BatchCell[number][];
  readonly inserts: readonly BatchInsert[];
  /** Dedupe families that something is inserted in. */
  readonly families: readonly string[];
  /** Dead letters: position of the entry, why, and a payload that holds the event alone. */
  readonly dead: readonly { readonly entry: number; readonly reason: string; readonly payload: string }[];
}

/** Fingerprints that are looked for in the same dedupe sets. */
export interface Question {
  readonly sets: readonly string[];
  readonly fingerprints: readonly string[];
}

/** What is to be looked up. */
export interface Asked {
  readonly questions: readonly Question[];
  /** Families of which it is to be told whether they are empty. */
  readonly families: readonly string[];
}

export const NOTHING_ASKED: Asked = { questions: [], families: [] };

/** What the dedupe sets hold. */
export interface Seen {
  /** Entries that had been applied at that moment: the answer holds while this number stands. */
  readonly applied: string;
  /** Of the families that were asked for, those in which nothing is remembered. */
  readonly empty: ReadonlySet<string>;
  /** Positions of those that are remembered, from 0, counted through the fingerprints of all questions. */
  readonly found: readonly number[];
}

/** A clock of one counter in one partition, as `tm:{p}:clocks` holds it; all are milliseconds. */
export interface Clock {
  readonly clock: number;
  /** Wall time when it last advanced. */
  readonly advanced: number;
  /** Buckets that end here or earlier are closed. */
  readonly closed: number;
  readonly oldest: number;
  readonly newest: number;
}

export function parseClock(text: string): Clock {
  const [clock, advanced, closed, oldest, newest] = text.split(" ").map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { clock, advanced, closed, oldest, newest };
}

export type ApplyOutcome =
  | { readonly kind: "lost" }
  | { readonly kind: "stale"; readonly version: number }
  | { readonly kind: "moved" }
  | { readonly kind: "ledger" }
  /** Folds have begun since the batch was planned. */
  | { readonly kind: "fold" }
  /** Ids of entries that were applied already. */
  | { readonly kind: "skip"; readonly entries: readonly string[] }
  | {
      readonly kind: "ok";
      readonly applied: number;
      readonly duplicates: number;
      readonly late: number;
      readonly dead: number;
      /** Entries that somebody else had applied. */
      readonly skipped: number;
      /** Answer to the questions, from behind the batch. */
      readonly seen: Seen;
    };

/** A batch as it is sent, and its keys. */
export interface PackedBatch {
  readonly keys: readonly string[];
  readonly packed: Buffer;
}

export function packBatch(keys: readonly string[], batch: Batch): PackedBatch {
  return { keys, packed: packForLua(batch) };
}

/**
 * Applies a batch to its partition and then looks fingerprints up, see lua/apply.lua; without entries it only looks.
 * Rejects when the outcome is unknown.
 */
export async function applyBatch(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
  { keys: names, packed }: PackedBatch,
  { questions, families: asked }: Asked,
): Promise<ApplyOutcome> {
  const { stream, lease, state, clocks, families, late, dead, cold, corrections, kept, ahead } = partition;
  const keys = [stream, lease, state, clocks, families, late, dead, cold, corrections, kept, ahead, ...names];
  const placed = questions.map(({ sets, fingerprints }) => ({ keys: sets.map((set) => keys.push(set)), fingerprints }));
  const args = [token, packed, packForLua({ families: asked, questions: placed })];
  const [kind, ...rest] = (await scripts.get("apply").run(client, keys, args)) as [ApplyOutcome["kind"], ...unknown[]];
  if (kind === "stale") return { kind, version: Number(rest[0]) };
  if (kind === "skip") return { kind, entries: rest.map(String) };
  if (kind !== "ok") return { kind };
  const [applied, duplicates, lateEvents, deadEvents, skipped, [now, empty, ...found]] = rest as [
    number,
    number,
    number,
    number,
    number,
    [string, string[], ...number[]],
  ];
  const seen = { applied: now, empty: new Set(empty), found };
  return { kind, applied, duplicates, late: lateEvents, dead: deadEvents, skipped, seen };
}

/** Number of `KEYS` before the batch's own; positions in a batch count from there. */
export const FIXED_KEYS = 11;
