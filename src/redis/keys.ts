import calculateSlot from "cluster-key-slot";
import { type Counter, widestOf } from "../core/counter.ts";
import type { Window } from "../core/window.ts";

/**
 * Every name in Redis, and the only place that knows the hash tag. Text from users comes last in a name, after the tag,
 * so nothing in it can be taken for a tag or a separator.
 */

const SLOTS = 16_384;

/** Consumer group of the workers, and the one consumer in it: whoever holds the lease. */
export const GROUP = "tallymark";
export const CONSUMER = "owner";

/** Consumer group of the archive, which has the same one consumer. */
export const ARCHIVE_GROUP = "archive";

export const META = {
  deployment: "tm:{meta}:deployment",
  counters: "tm:{meta}:counters",
  deletedCounters: "tm:{meta}:deleted",
  /** API keys by id, as hashes. */
  apiKeys: "tm:{meta}:keys",
} as const;

/** Of all alerts, in one slot. */
export const ALERTS = {
  rules: "tm:{alerts}:rules",
  /** Transitions that are to be delivered and no job yet. */
  outbox: "tm:{alerts}:outbox",
  /** Transitions of all rules, for the feed. */
  log: "tm:{alerts}:log",
  /** Of the process that evaluates. */
  lease: "tm:{alerts}:lease",
} as const;

/** Of one rule, and deleted with it. */
export interface AlertKeys {
  readonly instances: string;
  readonly history: string;
  readonly deliveries: string;
  readonly waiting: string;
}

export function alertKeys(id: string): AlertKeys {
  const base = `tm:{alerts}:r:${id}`;
  return {
    instances: `${base}:instances`,
    history: `${base}:history`,
    deliveries: `${base}:deliveries`,
    waiting: `${base}:waiting`,
  };
}

/** Of BullMQ's keys; the hash tag keeps a queue's keys in one slot. */
export const JOBS_PREFIX = "{tm:jobs}";

/** Channel on which outcomes of entries are published to the process that waits for them. */
export const outcomeChannel = (processId: string) => `tm:outcomes:${processId}`;

/** Channel on which a change of the API keys is announced. */
export const API_KEYS_CHANNEL = "tm:keys";

/** Of what each caller has used of its quota. */
export const RATE_PREFIX = "tm:rate";

/** Channel on which a change of the definitions is announced. */
export const DEFINITIONS_CHANNEL = "tm:definitions";

/**
 * Cells of a window come in two layers that readers add: `base`, which nothing changes once its bucket is closed, and
 * `corrected`, for events that were readmitted into closed buckets.
 */
export type Layer = "base" | "corrected";

/** Whose numbers a cell holds: one key's, the total's over all keys, or those of all keys refused by `keysMax`. */
export type CellOwner = { readonly key: string } | "total" | "other";

/**
 * Hash tag of a partition. Its slot lies in the partition's own stretch of the 16,384 slots, so that partitions spread
 * evenly over the primaries of a cluster that is divided evenly.
 */
function partitionTag(partition: number, partitions: number): string {
  const first = Math.floor((partition * SLOTS) / partitions);
  const end = Math.floor(((partition + 1) * SLOTS) / partitions);
  for (let attempt = 0; ; attempt++) {
    const tag = attempt === 0 ? `${partition}` : `${partition}.${attempt}`;
    const slot = calculateSlot(tag);
    if (slot >= first && slot < end) return tag;
  }
}

export class PartitionKeys {
  readonly partition: number;
  readonly #base: string;

  constructor(partition: number, partitions: number) {
    this.partition = partition;
    this.#base = `tm:{${partitionTag(partition, partitions)}}`;
  }

  get stream(): string {
    return `${this.#base}:stream`;
  }
  get lease(): string {
    return `${this.#base}:lease`;
  }
  get state(): string {
    return `${this.#base}:state`;
  }
  /** Entries that are applied and stay on the stream for the archive. */
  get kept(): string {
    return `${this.#base}:kept`;
  }
  /** Entries that the archive has and that are not applied yet. */
  get ahead(): string {
    return `${this.#base}:ahead`;
  }
  get archiveLease(): string {
    return `${this.#base}:archive-lease`;
  }
  get clocks(): string {
    return `${this.#base}:clocks`;
  }
  /** Dedupe families by arrival of their last insertion. */
  get families(): string {
    return `${this.#base}:families`;
  }
  get late(): string {
    return `${this.#base}:late`;
  }
  get dead(): string {
    return `${this.#base}:dead`;
  }

  /**
   * Per window of a counter, how far its buckets were folded, were exported, have left Redis, and have left cold storage;
   * per ledger, how far its archive has come.
   */
  get cold(): string {
    return `${this.#base}:cold`;
  }
  /** Corrections that are not exported yet. */
  get corrections(): string {
    return `${this.#base}:corrections`;
  }

  /** A key that lives for one round trip. */
  scratch(id: string): string {
    return `${this.#base}:x:${id}`;
  }

  /** One of the sets of fingerprints of a dedupe family. */
  fingerprints(family: string, subset: number): string {
    return `${this.#base}:d:${family}:${subset.toString(36)}`;
  }

  /** Names of one counter's window in this partition. */
  window(counter: Counter, window: Window, layer: Layer = "base"): WindowKeys {
    const suffix = layer === "base" ? "" : "+";
    return new WindowKeys(
      `${this.#base}:${counter.generation.toString(36)}:${(window.ms / 1000).toString(36)}${suffix}`,
      window.ms,
      cellsPerChunk(counter),
    );
  }
}

/**
 * Buckets of one key that share a hash. Redis keeps a hash of up to 128 fields as a listpack, about 10 bytes a cell; a
 * cell with a sum has up to three fields.
 */
export function cellsPerChunk(counter: Counter): number {
  return counter.sum ? 42 : 128;
}

export class WindowKeys {
  readonly #base: string;
  readonly #ms: number;
  readonly #perChunk: number;

  constructor(base: string, ms: number, perChunk: number) {
    this.#base = base;
    this.#ms = ms;
    this.#perChunk = perChunk;
  }

  /** Number of the chunk that holds a bucket; buckets of one chunk are consecutive. */
  chunk(start: number): number {
    return Math.floor(start / this.#ms / this.#perChunk);
  }

  /** Fields of a bucket in its chunk's hash are this number with a suffix. */
  field(start: number): string {
    return String((start / this.#ms) % this.#perChunk);
  }

  /** Hash of the cells of one owner in one chunk. */
  cells(chunk: number, owner: CellOwner): string {
    return this.cellsOf(chunk) + ownerText(owner);
  }

  /** What the names of a chunk's cells begin with; the owner's text follows. */
  cellsOf(chunk: number): string {
    return `${this.#base}:c:${chunk.toString(36)}:`;
  }

  sketch(start: number, owner: CellOwner): string {
    return this.sketchesOf(start) + ownerText(owner);
  }

  /** What the names of a bucket's sketches begin with; the owner's text follows. */
  sketchesOf(start: number): string {
    return `${this.#base}:u:${this.#bucket(start)}:`;
  }

  board(start: number): string {
    return `${this.#base}:b:${this.#bucket(start)}`;
  }

  index(start: number): string {
    return `${this.#base}:i:${this.#bucket(start)}`;
  }

  /** Starts of all buckets that hold anything, ms. */
  get starts(): string {
    return `${this.#base}:s`;
  }

  #bucket(start: number): string {
    return (start / this.#ms).toString(36);
  }
}

/** What a key holds: `ids` are remembered for duplicates, `sketches` for uniques, `streams` wait or are kept to be looked at. */
export const KEY_KINDS = ["ids", "cells", "sketches", "boards", "indexes", "streams", "jobs", "other"] as const;
export type KeyKind = (typeof KEY_KINDS)[number];

const WINDOW_KINDS: Readonly<Record<string, KeyKind>> = { c: "cells", u: "sketches", b: "boards", i: "indexes" };

/** What a key holds, by its name, whatever partition or counter it belongs to. */
export function kindOfKey(name: string): KeyKind {
  if (name.startsWith(`${JOBS_PREFIX}:`)) return "jobs";
  if (/^tm:\{[^}]*\}:d:/.test(name)) return "ids";
  if (/^tm:\{[^}]*\}:(?:stream|late|dead|corrections|outbox|log)$/.test(name)) return "streams";
  const letter = /^tm:\{[^}]*\}:[0-9a-z]+:[0-9a-z]+\+?:([cubi]):/.exec(name)?.[1];
  return WINDOW_KINDS[letter ?? ""] ?? "other";
}

/** How cold storage names an owner. */
export function ownerBytes(owner: CellOwner): Buffer {
  return Buffer.from(ownerText(owner));
}

/** `t`, `o`, or `k` and the key. */
export function ownerText(owner: CellOwner): string {
  return typeof owner === "object" ? `k${owner.key}` : owner === "total" ? "t" : "o";
}

export function parseOwner(text: string): CellOwner {
  return text === "t" ? "total" : text === "o" ? "other" : { key: text.slice(1) };
}

/** Suffixes of the fields of a cell: count, sum in whole units, its millionths, and carries of 2^62 units. */
export const CELL_FIELDS = { count: "", units: "s", micros: "f", carries: "c" } as const;

/** Keys that were admitted to one bucket of the widest window, for all partitions, in a slot of its own. */
export function admissionKey(counter: Counter, bucketStart: number): string {
  return `tm:{a${counter.generation.toString(36)}}:${(bucketStart / widestOf(counter).ms).toString(36)}`;
}

/** Buckets of the widest window that have a set of admitted keys, in the slot of those sets. */
export function admissionsKey(counter: Counter): string {
  return `tm:{a${counter.generation.toString(36)}}:s`;
}

/** Field of a window's marks in `PartitionKeys.cold`, and of the flag that a counter has a corrected layer. */
export const marksField = (counter: Counter, window: Window): string =>
  `${counter.generation.toString(36)}:${(window.ms / 1000).toString(36)}`;
/** Field of a folded window's fold marks there. */
export const foldField = (counter: Counter, window: Window): string => `${marksField(counter, window)}:f`;
export const correctedField = (counter: Counter): string => `${counter.generation.toString(36)}:+`;

/** Fields of a partition's state about a staged generation: where its counting begins, and batches counted from the lake. */
export const seamField = (generation: number): string => `seam:${generation}`;
export const rebuiltField = (generation: number): string => `rebuilt:${generation}`;

/** Streams of entries that were kept apart: late events, dead letters. */
export type LedgerName = "late" | "dead";
export const LEDGERS: readonly LedgerName[] = ["late", "dead"];

/**
 * Fields of a ledger's archive in `PartitionKeys.cold`: id of its newest entry that belongs to the archive, and number of
 * the last one that has come back from there.
 */
export const archivedField = (ledger: LedgerName): string => `${ledger}:archived`;
export const restoredField = (ledger: LedgerName): string => `${ledger}:restored`;

/** Ids with a time of their own share a family of dedupe sets for this long, ms. */
export const SLICE_MS = 1_000;
/**
 * Sets of a slice. Redis keeps a set of integers sorted in 8 bytes each while it has at most 512 members, its default:
 * 16,000 ids a second fill 32 sets to that, and at 1,000 a second the 31 members still outweigh the set's own cost.
 */
export const SLICE_SUBSETS = 32;

/** Family of ids that carry this time, ms. */
export function sliceFamily(time: number): string {
  return `s${Math.floor(time / SLICE_MS).toString(36)}`;
}

/** Family of ids without a time that arrived from `start` on, ms, spread over `subsets` sets. */
export function generationFamily(start: number, subsets: number): string {
  return `g${start.toString(36)}.${subsets.toString(36)}`;
}

export function parseGenerationFamily(family: string): { family: string; start: number; subsets: number } | null {
  const match = /^g(\w+)\.(\w+)$/.exec(family);
  if (!match) return null;
  return { family, start: Number.parseInt(match[1] as string, 36), subsets: Number.parseInt(match[2] as string, 36) };
}

/** Names of all sets of a family. */
export function setsOfFamily(partition: PartitionKeys, family: string): string[] {
  const subsets = parseGenerationFamily(family)?.subsets ?? SLICE_SUBSETS;
  return Array.from({ length: subsets }, (_, subset) => partition.fingerprints(family, subset));
}

/** Names for a deployment of `partitions` partitions. */
export function partitionKeys(partitions: number): readonly PartitionKeys[] {
  return Array.from({ length: partitions }, (_, p) => new PartitionKeys(p, partitions));
}
