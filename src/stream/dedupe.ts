import { identityTime } from "../core/identity.ts";
import type { ReceivedEvent } from "../core/packed.ts";
import type { RedisClient } from "../redis/client.ts";
import {
  generationFamily,
  type PartitionKeys,
  parseGenerationFamily,
  SLICE_MS,
  SLICE_SUBSETS,
  sliceFamily,
} from "../redis/keys.ts";
import { KnownSlices } from "./known-slices.ts";

/** Slots of ids with a time that are remembered: some minutes' worth, in a few hundred kilobytes. */
const SLOTS_REMEMBERED = 4_096;
const GENERATION_SUBSETS_MIN = 16;
const GENERATION_SUBSETS_MAX = 8_192;
/** A generation is full when its sets hold this many ids on average. */
const SUBSET_FULL = 400;
/** What a Redis expiry adds to the horizon, ms: only the net, since families are dropped in stream time. */
const EXPIRY_MARGIN_MS = 7 * 86_400_000;

/** Where an event's fingerprint is looked for and, if new, put: the first of `sets`. */
export interface Slot {
  readonly family: string;
  /** Whether the id carries its own time: it can be in this family only. */
  readonly isSlice: boolean;
  readonly sets: readonly string[];
}

interface Generation {
  readonly family: string;
  /** Arrival of the first entry, ms. */
  readonly start: number;
  readonly subsets: number;
  /** Arrival of the last entry that put something in, ms. */
  last: number;
  size: number;
}

/**
 * Chooses the dedupe sets of a partition. A family of sets is either a slice (ids that carry their own time) or a
 * generation (all others, by arrival). Generations rotate when they are a horizon old or full; all that took an id
 * within the last horizon are looked at.
 *
 * Where an id goes depends on its bytes and its arrival alone. By event time, a resend with another time would count
 * twice.
 */
export class Dedupe {
  readonly slices = new KnownSlices();
  readonly #partition: PartitionKeys;
  readonly #horizonMs: number;
  /** Oldest first; the last one takes new ids. */
  readonly #generations: Generation[];
  /** Of ids with a time, by second and subset: many share one. */
  readonly #slots = new Map<number, Slot>();

  private constructor(partition: PartitionKeys, horizonMs: number, generations: Generation[]) {
    this.#partition = partition;
    this.#horizonMs = horizonMs;
    this.#generations = generations;
  }

  /** Takes over what owners before recorded. */
  static async load(client: RedisClient, partition: PartitionKeys, horizonMs: number): Promise<Dedupe> {
    const members = await client.zrange(partition.families, "0", "-1", "WITHSCORES");
    const generations: Generation[] = [];
    for (let i = 0; i < members.length; i += 2) {
      const named = parseGenerationFamily(members[i] as string);
      if (named) generations.push({ ...named, last: Number(members[i + 1]), size: 0 });
    }
    generations.sort((a, b) => a.start - b.start);
    const current = generations.at(-1);
    // One set stands for all: fingerprints spread evenly.
    if (current) current.size = current.subsets * (await client.scard(partition.fingerprints(current.family, 0)));
    return new Dedupe(partition, horizonMs, generations);
  }

  get expiryMs(): number {
    return this.#horizonMs + EXPIRY_MARGIN_MS;
  }

  slotFor({ id, spread }: ReceivedEvent, arrival: number): Slot {
    const time = identityTime(id);
    if (time !== null) return this.#sliceFor(time, spread % SLICE_SUBSETS);
    const current = this.#currentGeneration(arrival);
    current.last = Math.max(current.last, arrival);
    current.size++;
    const sets = this.#generations
      .filter((generation) => generation === current || generation.last >= arrival - this.#horizonMs)
      .reverse()
      .map(({ family, subsets }) => this.#partition.fingerprints(family, spread % subsets));
    return { family: current.family, isSlice: false, sets };
  }

  #sliceFor(time: number, subset: number): Slot {
    const name = Math.floor(time / SLICE_MS) * SLICE_SUBSETS + subset;
    let slot = this.#slots.get(name);
    if (!slot) {
      if (this.#slots.size === SLOTS_REMEMBERED) this.#slots.clear();
      const family = sliceFamily(time);
      slot = { family, isSlice: true, sets: [this.#partition.fingerprints(family, subset)] };
      this.#slots.set(name, slot);
    }
    return slot;
  }

  #currentGeneration(arrival: number): Generation {
    const current = this.#generations.at(-1);
    const isFull = current && current.size >= current.subsets * SUBSET_FULL && current.subsets < GENERATION_SUBSETS_MAX;
    const isOld = current && arrival - current.start >= this.#horizonMs;
    if (current && !isFull && !isOld) return current;
    const wanted = isFull ? current.subsets * 4 : (current?.size ?? 0) / (SUBSET_FULL * 0.75);
    const power = 2 ** Math.ceil(Math.log2(Math.max(1, wanted)));
    const subsets = Math.min(GENERATION_SUBSETS_MAX, Math.max(GENERATION_SUBSETS_MIN, power));
    // A generation is named by its start, which must differ from the one before.
    const start = Math.max(arrival, (current?.start ?? -1) + 1);
    const family = generationFamily(start, subsets);
    const next = { family, start, subsets, last: arrival, size: 0 };
    this.#generations.push(next);
    return next;
  }

  /** Forgets generations and slices whose last insertion arrived before `bound`, ms. */
  forgetBefore(bound: number): void {
    this.slices.forgetBefore(bound);
    while (this.#generations.length > 1 && (this.#generations[0] as Generation).last < bound) this.#generations.shift();
  }
}
