import type { RedisClient } from "../client.ts";
import type { PartitionKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

/** One stream entry of a batch. */
export interface BatchEntry {
  readonly id: string;
  /** Milliseconds, from the id. */
  readonly arrival: number;
  /** How many of the batch's events are this entry's. */
  readonly events: number;
  /** Channel for the entry's outcome, `""` for none, and what to call the entry there. */
  readonly reply: string;
  readonly ticket: string;
  /** Its events were late and count now: neither duplicate nor late again. */
  readonly readmit: boolean;
}

/** A set of fingerprints: where to insert (first) and where to look, as positions in `keys`. */
export interface BatchSlot {
  readonly family: string;
  readonly keys: readonly number[];
}

/** One finest bucket of one counter. Positions are of its first window; the other windows follow. */
export interface BatchBucket {
  readonly counter: number;
  readonly start: number;
  /** End of the bucket, ms: it is closed once the counter's closed-to mark reaches it. */
  readonly last: number;
  /** For events that were late and count after all: the field that says so of the counter; `false` for all others. */
  readonly corrected: string | false;
  /** Start of the bucket around it, per window, ms, and the position of the windows' sets of starts. */
  readonly starts: readonly string[];
  readonly startsAt: number;
  /** Field of the bucket in its cells' hashes, per window. */
  readonly fields: readonly string[];
  /** Position of the total's hashes, then sketches. */
  readonly total: number;
  readonly indexes: number;
  readonly boards: number | false;
  /** The batch carries the events for the late ledger. */
  readonly ledger: boolean;
}

/** One key in one finest bucket. */
export interface BatchCell {
  readonly bucket: number;
  /** Position of the hashes, then sketches. */
  readonly at: number;
  /** `k` and the key's text; `""` for the keys refused by `keysMax`; `false` when only the total counts. */
  readonly key: string | false;
}

/** Everything that one script call needs; positions count from 1, as Lua does. Columns have one value an event. */
export interface Batch {
  readonly version: number;
  readonly group: string;
  /** Arrival of the last entry, ms. */
  readonly arrival: number;
  readonly boardSize: number;
  /** Net under the dropping of fingerprint sets, ms. */
  readonly fingerprintTtl: number;
  readonly entries: readonly BatchEntry[];
  readonly counters: readonly { readonly generation: string; readonly lateness: number; readonly staged: boolean }[];
  /** Of a batch from the lake: its number, from 1, and the field of the partition's state with that of the last one. */
  readonly rebuild?: { readonly field: string; readonly number: number };
  readonly buckets: readonly BatchBucket[];
  readonly cells: readonly BatchCell[];
  readonly slots: readonly BatchSlot[];
  readonly fingerprints: readonly string[];
  /** Position of the event's slot; 0: the event is a dead letter. */
  readonly slotOf: readonly number[];
  readonly times: readonly number[];
  /** How many of the hits, which follow each other in event order, are this event's. */
  readonly hits: readonly number[];
  readonly hitCell: readonly number[];
  readonly hitMicro: readonly number[];
  readonly hitMember: readonly (string | false)[];
  /** `false`, or why the event is a dead letter, and a payload that holds it alone. */
  readonly dead: readonly (readonly [reason: string, payload: string] | false)[];
  /** `false`, or a payload that holds the event alone, where it may be late. */
  readonly ledger: readonly (string | false)[];
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
  | { readonly kind: "ledger" }
  | {
      readonly kind: "ok";
      readonly applied: number;
      readonly duplicates: number;
      readonly late: number;
      readonly dead: number;
      /** Entries that somebody else had applied. */
      readonly skipped: number;
    };

/** Applies a batch to its partition, see lua/apply.lua. Rejects when the outcome is unknown. */
export async function applyBatch(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
  keys: readonly string[],
  batch: Batch,
): Promise<ApplyOutcome> {
  const { stream, lease, state, clocks, families, late, dead, cold, corrections, kept, ahead } = partition;
  const fixed = [stream, lease, state, clocks, families, late, dead, cold, corrections, kept, ahead];
  const reply = (await scripts.get("apply").run(client, [...fixed, ...keys], [token, packForLua(batch)])) as [
    ApplyOutcome["kind"],
    ...(number | string)[],
  ];
  const [kind, ...rest] = reply;
  if (kind === "stale") return { kind, version: Number(rest[0]) };
  if (kind !== "ok") return { kind };
  const [applied, duplicates, lateEvents, deadEvents, skipped] = rest.map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { kind, applied, duplicates, late: lateEvents, dead: deadEvents, skipped };
}

/** Number of `KEYS` before the batch's own; positions in a batch count from there. */
export const FIXED_KEYS = 11;
