import { type Counter, finestOf, isFolded, widestOf } from "../core/counter.ts";
import { MICRO } from "../core/decimal.ts";
import { BOARD_SIZE, FOLD_BEHIND_MAX } from "../core/limits.ts";
import { packEvent, packPayload } from "../core/packed.ts";
import { bucketStart, type Window } from "../core/window.ts";
import type {
  Batch,
  BatchBucket,
  BatchCell,
  BatchCounter,
  BatchEntry,
  BatchInsert,
  LedgerRow,
} from "../redis/commands/apply.ts";
import { FIXED_KEYS } from "../redis/commands/apply.ts";
import {
  type CellOwner,
  correctedField,
  foldField,
  GROUP,
  ownerText,
  type PartitionKeys,
  type WindowKeys,
} from "../redis/keys.ts";
import type { Hit, MatchedBucket, MatchedEntry, MatchedEvent, MatchedKey } from "./match.ts";
import type { Sightings } from "./sightings.ts";

/** What the plan of a batch depends on besides its entries. */
export interface PlanContext {
  readonly version: number;
  readonly partition: PartitionKeys;
  readonly fingerprintTtl: number;
  /** Generations that are being rebuilt. */
  readonly staged: readonly Counter[];
  readonly sightings: Sightings;
  /** Ids of entries that the script has said were applied already. */
  readonly skipped: ReadonlySet<string>;
  /** Whether a key is counted under its own name. */
  admitted(key: MatchedKey): boolean;
  /** The counter's closed-to mark as far as known, ms: events of buckets up to there are sent along for the ledger. */
  closedTo(counter: Counter): number;
  /** As far as known, up to where a folded window's buckets are written with every event, ms. */
  directTo(counter: Counter, window: Window): number;
}

export interface Plan {
  readonly keys: readonly string[];
  readonly batch: Batch;
  readonly events: number;
  /** Hits under keys that are not admitted. */
  readonly refused: number;
}

/** Works out the script's keys and numbers for a batch of entries. What is late, the script decides. */
export function planBatch(entries: readonly MatchedEntry[], context: PlanContext): Plan {
  return new Planner(context).plan(entries);
}

/** Numbers that grow while a batch is planned; see `BatchNumbers`. */
interface Numbers {
  count: number;
  units: number;
  micros: number;
  members: string[] | false;
}

interface CellPlan extends Numbers {
  readonly bucket: number;
  readonly at: number;
  readonly key: string | false;
}

interface CounterPlan {
  readonly position: number;
  readonly reached: { -readonly [K in keyof BatchCounter["reached"]]: number };
}

interface BucketPlan {
  readonly counter: CounterPlan;
  readonly position: number;
  readonly numbers: BatchBucket & Numbers;
  readonly ledger: LedgerRow[] | false;
  /** Of the keys that are not admitted. */
  other: CellPlan | null;
  /** Where it is written. */
  readonly written: readonly Place[];
}

/** Where the hits of one key are counted; no cell where the total alone counts. */
interface KeyPlan {
  readonly bucket: BucketPlan;
  readonly cell: CellPlan | null;
  readonly isRefused: boolean;
}

/** The bucket of one window in which something is written. */
interface Place {
  readonly window: Window;
  readonly keys: WindowKeys;
  readonly start: number;
  /** What the names of all cells and sketches there begin with. */
  readonly cells: string;
  readonly sketches: string;
}

class Planner {
  readonly #context: PlanContext;
  readonly #keys: string[] = [];
  readonly #counters = new Map<Counter, CounterPlan>();
  readonly #bucketPlans = new Map<MatchedBucket, BucketPlan>();
  /** By the key's index. */
  readonly #keyPlans: KeyPlan[] = [];
  readonly #buckets: (BatchBucket & Numbers)[] = [];
  readonly #cells: CellPlan[] = [];
  readonly #dead: Batch["dead"][number][] = [];
  #events = 0;
  #hits = 0;
  #refused = 0;

  constructor(context: PlanContext) {
    this.#context = context;
  }

  plan(entries: readonly MatchedEntry[]): Plan {
    const { version, fingerprintTtl, sightings } = this.#context;
    const inserts = sightings.inserts.map(({ set, fingerprints }): BatchInsert => {
      return { key: this.#addKeys([set]), fingerprints };
    });
    const batch: Batch = {
      version,
      group: GROUP,
      applied: sightings.applied,
      arrival: entries.at(-1)?.entry.arrival ?? 0,
      boardSize: BOARD_SIZE,
      foldBehindMax: FOLD_BEHIND_MAX,
      fingerprintTtl,
      entries: entries.map((entry, e) => this.#addEntry(entry, e + 1)),
      counters: [...this.#counters].map(([counter, { reached }]) => ({
        generation: String(counter.generation),
        lateness: counter.latenessMs,
        staged: this.#context.staged.includes(counter),
        reached,
        folds: counter.windows
          .filter((window) => isFolded(counter, window))
          .map((window) => {
            return { window: counter.windows.indexOf(window) + 1, field: foldField(counter, window), ms: window.ms };
          }),
      })),
      buckets: this.#buckets,
      cells: flatten(this.#cells),
      inserts,
      families: [...new Set(sightings.inserts.map(({ family }) => family))],
      dead: this.#dead,
    };
    return { keys: this.#keys, batch, events: this.#events, refused: this.#refused };
  }

  #addEntry({ entry: { id, arrival, reply, ticket }, events }: MatchedEntry, position: number): BatchEntry {
    const { sightings, skipped } = this.#context;
    const skip = skipped.has(id);
    const outcome = { applied: 0, duplicates: 0, late: 0, dead: 0 };
    for (const event of skip ? [] : events) {
      this.#events++;
      if ("fault" in event) {
        outcome.dead++;
        this.#dead.push({ entry: position, reason: event.fault, payload: event.payload });
      } else if (sightings.duplicates.has(event)) outcome.duplicates++;
      else {
        outcome.applied++;
        this.#addEvent(event, arrival, position);
      }
    }
    return { id, reply, ticket, skip, ...outcome };
  }

  #addEvent(event: MatchedEvent, arrival: number, entry: number): void {
    const { received, time, hits } = event;
    for (const hit of hits) {
      this.#hits++;
      const { bucket, cell, isRefused } = this.#keyPlans[hit.key.index] ?? this.#addKey(hit.key);
      reach(bucket.counter.reached, time, arrival);
      addTo(bucket.numbers, hit);
      if (cell) addTo(cell, hit);
      if (isRefused) this.#refused++;
      if (!bucket.ledger) continue;
      // The ledger keeps the time that was taken for the event, which its entry's id will not tell any more.
      const payload = packPayload([packEvent({ ...received, time }, received)]);
      bucket.ledger.push({ entry, event: this.#events, hit: this.#hits, payload });
    }
  }

  #addKey(key: MatchedKey): KeyPlan {
    const bucket = this.#bucketPlans.get(key.bucket) ?? this.#addBucket(key.bucket);
    const isRefused = !this.#context.admitted(key);
    let cell: CellPlan | null = null;
    if (isRefused) {
      bucket.other ??= this.#addCell(bucket, key.bucket.counter, "other");
      cell = bucket.other;
    } else if (key.text !== null) cell = this.#addCell(bucket, key.bucket.counter, { key: key.text });
    const planned = { bucket, cell, isRefused };
    this.#keyPlans[key.index] = planned;
    return planned;
  }

  #addCounter(counter: Counter): CounterPlan {
    const planned = {
      position: this.#counters.size + 1,
      reached: { clock: -1, arrival: 0, oldest: Number.POSITIVE_INFINITY, newest: -1 },
    };
    this.#counters.set(counter, planned);
    return planned;
  }

  #addBucket(matched: MatchedBucket): BucketPlan {
    const { partition, closedTo, directTo } = this.#context;
    const { counter, layer, start } = matched;
    const counterPlan = this.#counters.get(counter) ?? this.#addCounter(counter);
    const last = start + finestOf(counter).ms;
    const ledger: LedgerRow[] | false = layer === "base" && last <= closedTo(counter) && [];
    const places = counter.windows.map((window): Place => {
      const keys = partition.window(counter, window, layer);
      const around = bucketStart(start, window.ms);
      const [cells, sketches] = [keys.cellsOf(keys.chunk(around)), keys.sketchesOf(around)];
      return { window, keys, start: around, cells, sketches };
    });
    const isLeft = ({ window, start: around }: Place) =>
      layer === "base" && isFolded(counter, window) && around >= directTo(counter, window);
    const written = places.filter((place) => !isLeft(place));
    const isListed = ({ window }: Place) => counter.by.length > 0 && window !== widestOf(counter);
    const listed = written.filter(isListed);
    const isRanked = counter.top && counter.by.length > 0;
    const numbers: BatchBucket & Numbers = {
      counter: counterPlan.position,
      start,
      last,
      corrected: layer === "corrected" && correctedField(counter),
      starts: places.map((place) => String(place.start)),
      startsAt: this.#addKeys(places.map(({ keys }) => keys.starts)),
      left: places.filter(({ window }) => isFolded(counter, window)).map(isLeft),
      fields: written.map((place) => place.keys.field(place.start)),
      total: this.#addCellKeys(counter, written, "total"),
      lists: this.#addKeys(listed.map((place) => place.keys.index(place.start))),
      listed: listed.length,
      sorted:
        counter.by.length === 0 ? 0 : this.#addKeys(places.slice(-1).map((place) => place.keys.index(place.start))),
      boards: isRanked && this.#addKeys(written.map((place) => place.keys.board(place.start))),
      ledger,
      ...noNumbers(),
    };
    const position = this.#buckets.push(numbers);
    const planned = { counter: counterPlan, position, numbers, ledger, other: null, written };
    this.#bucketPlans.set(matched, planned);
    return planned;
  }

  #addCell(bucket: BucketPlan, counter: Counter, owner: Exclude<CellOwner, "total">): CellPlan {
    const at = this.#addCellKeys(counter, bucket.written, owner);
    const key = owner === "other" ? false : owner.key;
    const cell: CellPlan = { bucket: bucket.position, at, key, count: 0, units: 0, micros: 0, members: false };
    this.#cells.push(cell);
    return cell;
  }

  /** Hashes of the cell in every window that is written, then its sketches. */
  #addCellKeys(counter: Counter, written: readonly Place[], owner: CellOwner): number {
    const first = this.#nextPosition;
    const name = ownerText(owner);
    for (const { cells } of written) this.#keys.push(cells + name);
    if (counter.unique) for (const { sketches } of written) this.#keys.push(sketches + name);
    return first;
  }

  /** Position of the first, as the script counts. */
  #addKeys(names: readonly string[]): number {
    const first = this.#nextPosition;
    this.#keys.push(...names);
    return first;
  }

  get #nextPosition(): number {
    return this.#keys.length + FIXED_KEYS + 1;
  }
}

function flatten(cells: readonly CellPlan[]): Batch["cells"] {
  const flat: BatchCell[number][] = [];
  for (const { bucket, at, key, count, units, micros, members } of cells) {
    flat.push(
      bucket,
      at,
      key,
      count,
      units,
      micros,
      members && members.length === 1 ? (members[0] as string) : members,
    );
  }
  return flat;
}

const noNumbers = (): Numbers => ({ count: 0, units: 0, micros: 0, members: false });

function addTo(numbers: Numbers, { micro, member }: Hit): void {
  numbers.count++;
  if (micro !== 0) {
    const units = Math.floor(micro / MICRO);
    numbers.units += units;
    numbers.micros += micro - units * MICRO;
  }
  if (member === false) return;
  if (numbers.members) numbers.members.push(member);
  else numbers.members = [member];
}

function reach(reached: CounterPlan["reached"], time: number, arrival: number): void {
  const clock = Math.min(time, arrival);
  if (clock > reached.clock) {
    reached.clock = clock;
    reached.arrival = arrival;
  }
  if (time < reached.oldest) reached.oldest = time;
  if (time > reached.newest) reached.newest = time;
}
