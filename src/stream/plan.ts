import { type Counter, finestOf } from "../core/counter.ts";
import { BOARD_SIZE } from "../core/limits.ts";
import { type Poison, packEvent, packPayload } from "../core/packed.ts";
import type { Batch, BatchBucket, BatchCell, BatchSlot } from "../redis/commands/apply.ts";
import { FIXED_KEYS } from "../redis/commands/apply.ts";
import {
  type CellOwner,
  correctedField,
  GROUP,
  type Layer,
  type PartitionKeys,
  type WindowKeys,
} from "../redis/keys.ts";
import type { Slot } from "./dedupe.ts";
import type { Hit, MatchedEntry, MatchedEvent } from "./match.ts";

/** What the plan of a batch depends on besides its entries. */
export interface PlanContext {
  readonly version: number;
  readonly partition: PartitionKeys;
  readonly fingerprintTtl: number;
  /** Generations that are being rebuilt. */
  readonly staged: readonly Counter[];
  /** Where an event's fingerprint belongs. */
  slotFor(event: MatchedEvent["received"], arrival: number): Slot;
  /** Whether a hit counts under its own key. */
  admitted(hit: Hit): boolean;
  /** The counter's closed-to mark as far as known, ms: events of buckets up to there are sent along for the ledger. */
  closedTo(counter: Counter): number;
}

export interface Plan {
  readonly keys: readonly string[];
  readonly batch: Batch;
}

/** Works out the script's keys and numbers for a batch of entries. The decisions themselves are the script's. */
export function planBatch(entries: readonly MatchedEntry[], context: PlanContext): Plan {
  return new Planner(context).plan(entries);
}

interface BucketPlan {
  readonly position: number;
  readonly late: boolean;
  readonly cells: Map<string, number>;
  readonly windowKeys: readonly WindowKeys[];
}

class Planner {
  readonly #context: PlanContext;
  readonly #keys: string[] = [];
  readonly #counters = new Map<Counter, { position: number; buckets: Record<Layer, Map<number, BucketPlan>> }>();
  readonly #buckets: BatchBucket[] = [];
  readonly #cells: BatchCell[] = [];
  readonly #slots = new Map<string, { position: number; slot: BatchSlot }>();
  readonly #columns = {
    fingerprints: [] as string[],
    slotOf: [] as number[],
    times: [] as number[],
    hits: [] as number[],
    hitCell: [] as number[],
    hitMicro: [] as number[],
    hitMember: [] as (string | false)[],
    dead: [] as ([string, string] | false)[],
    ledger: [] as (string | false)[],
  };

  constructor(context: PlanContext) {
    this.#context = context;
  }

  plan(entries: readonly MatchedEntry[]): Plan {
    for (const { entry, events } of entries) {
      for (const event of events) {
        if ("fault" in event) this.#addPoison(event);
        else this.#addEvent(event, entry.arrival);
      }
    }
    const batch: Batch = {
      version: this.#context.version,
      group: GROUP,
      arrival: entries.at(-1)?.entry.arrival ?? 0,
      boardSize: BOARD_SIZE,
      fingerprintTtl: this.#context.fingerprintTtl,
      entries: entries.map(({ entry: { id, arrival, reply, ticket, readmit }, events }) => ({
        id,
        arrival,
        reply,
        ticket,
        readmit: readmit !== null,
        events: events.length,
      })),
      counters: [...this.#counters.keys()].map((counter) => ({
        generation: String(counter.generation),
        lateness: counter.latenessMs,
        staged: this.#context.staged.includes(counter),
      })),
      buckets: this.#buckets,
      cells: this.#cells,
      slots: [...this.#slots.values()].map(({ slot }) => slot),
      ...this.#columns,
    };
    return { keys: this.#keys, batch };
  }

  #addPoison({ fault, payload }: Poison): void {
    const { fingerprints, slotOf, times, hits, dead, ledger } = this.#columns;
    fingerprints.push("");
    slotOf.push(0);
    times.push(0);
    hits.push(0);
    dead.push([fault, payload]);
    ledger.push(false);
  }

  #addEvent({ received, time, hits }: MatchedEvent, arrival: number): void {
    const columns = this.#columns;
    columns.fingerprints.push(received.identity.fingerprint);
    columns.slotOf.push(this.#slot(this.#context.slotFor(received, arrival)));
    columns.times.push(time);
    columns.hits.push(hits.length);
    columns.dead.push(false);
    let late = false;
    for (const hit of hits) {
      const bucket = this.#bucket(hit);
      late ||= bucket.late;
      columns.hitCell.push(this.#cell(bucket, hit));
      columns.hitMicro.push(hit.micro);
      columns.hitMember.push(hit.member);
    }
    // The ledger keeps the time that was taken for the event, which its entry's id will not tell any more.
    columns.ledger.push(late && packPayload([packEvent({ ...received.event, time }, received.identity)]));
  }

  #slot({ family, sets }: Slot): number {
    const name = sets[0] as string;
    let known = this.#slots.get(name);
    if (!known) {
      const first = this.#addKeys(sets);
      known = { position: this.#slots.size + 1, slot: { family, keys: sets.map((_, i) => first + i) } };
      this.#slots.set(name, known);
    }
    return known.position;
  }

  #bucket({ counter, layer, bucket: start }: Hit): BucketPlan {
    let planned = this.#counters.get(counter);
    if (!planned) {
      planned = { position: this.#counters.size + 1, buckets: { base: new Map(), corrected: new Map() } };
      this.#counters.set(counter, planned);
    }
    let bucket = planned.buckets[layer].get(start);
    if (!bucket) {
      bucket = this.#addBucket(counter, layer, planned.position, start);
      planned.buckets[layer].set(start, bucket);
    }
    return bucket;
  }

  #addBucket(counter: Counter, layer: Layer, counterPosition: number, start: number): BucketPlan {
    const last = start + finestOf(counter).ms;
    const late = layer === "base" && last <= this.#context.closedTo(counter);
    const windowKeys = counter.windows.map((window) => this.#context.partition.window(counter, window, layer));
    const starts = counter.windows.map(({ ms }) => start - (start % ms));
    this.#buckets.push({
      counter: counterPosition,
      start,
      last,
      corrected: layer === "corrected" && correctedField(counter),
      starts: starts.map(String),
      startsAt: this.#addKeys(windowKeys.map((keys) => keys.starts)),
      fields: windowKeys.map((keys, w) => keys.field(starts[w] as number)),
      total: this.#addCellKeys(counter, windowKeys, starts, "total"),
      indexes:
        counter.by.length === 0 ? 0 : this.#addKeys(windowKeys.map((keys, w) => keys.index(starts[w] as number))),
      boards:
        counter.top &&
        counter.by.length > 0 &&
        this.#addKeys(windowKeys.map((keys, w) => keys.board(starts[w] as number))),
      ledger: late,
    });
    return { position: this.#buckets.length, late, cells: new Map(), windowKeys };
  }

  #cell(bucket: BucketPlan, hit: Hit): number {
    const key = hit.key === null ? false : this.#context.admitted(hit) ? `k${hit.key}` : "";
    const name = key === false ? "total" : key;
    let position = bucket.cells.get(name);
    if (position === undefined) {
      const starts = hit.counter.windows.map(({ ms }) => hit.bucket - (hit.bucket % ms));
      const owner: CellOwner = key === "" ? "other" : { key: hit.key as string };
      const at = key === false ? 0 : this.#addCellKeys(hit.counter, bucket.windowKeys, starts, owner);
      position = this.#cells.push({ bucket: bucket.position, at, key });
      bucket.cells.set(name, position);
    }
    return position;
  }

  /** Hashes of the cell in every window, then its sketches. */
  #addCellKeys(
    counter: Counter,
    windowKeys: readonly WindowKeys[],
    starts: readonly number[],
    owner: CellOwner,
  ): number {
    const hashes = windowKeys.map((keys, w) => keys.cells(keys.chunk(starts[w] as number), owner));
    const sketches = counter.unique ? windowKeys.map((keys, w) => keys.sketch(starts[w] as number, owner)) : [];
    return this.#addKeys([...hashes, ...sketches]);
  }

  /** Position of the first, as the script counts. */
  #addKeys(names: readonly string[]): number {
    const first = this.#keys.length + FIXED_KEYS + 1;
    this.#keys.push(...names);
    return first;
  }
}
