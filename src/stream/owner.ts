import { BATCH_EVENTS_MAX } from "../core/limits.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import type { RedisClient } from "../redis/client.ts";
import { dropFamilies } from "../redis/commands/drop.ts";
import { noteTakeOver, type Suspect } from "../redis/commands/take-over.ts";
import { timeAt } from "../redis/time.ts";
import { Applier, type ApplierDependencies, LeaseLost } from "./applier.ts";
import { Dedupe } from "./dedupe.ts";
import { type EntryBatch, ensureGroup, ReadCount, type ReceivedEntry, readNew, readPending } from "./entries.ts";
import { appliesOneByOne, GIVE_UP_FROM } from "./suspect.ts";

/** How long one read waits for the first new entry, ms. */
const BLOCK_MS = 1_000;
/** Batches that one read is to bring about where so much waits. */
const READ_BATCHES = 2;
/**
 * Least time between two reads where nothing waits, ms. A call of the script costs as much as ten events in it, so what
 * comes one by one is gathered; the first one after a pause is read at once.
 */
const GATHER_MS = 8;
const DROP_EVERY_MS = 1_000;
/** How often pending entries that nobody holds are looked for, ms. */
const CHECK_EVERY_MS = 5_000;
/**
 * What is added to the horizon, ms: an entry that nobody held, or that came while the time was asked for, is older than
 * what was applied last. Dropping late is always safe.
 */
const DROP_MARGIN_MS = 60_000;
export interface OwnerDependencies extends ApplierDependencies {
  /** Waits for entries; used by this owner alone. */
  readonly blocking: RedisClient;
  readonly dedupeHorizonMs: number;
  readonly log: Logger;
}

/** A read of new entries, and the batches that it has brought. */
interface Read {
  readonly done: Promise<void>;
  batches: readonly EntryBatch[];
}

/** Applies the entries of one partition, in stream order, for as long as its lease is held. */
export class PartitionOwner {
  readonly #deps: OwnerDependencies;
  readonly #dedupe: Dedupe;
  readonly #applier: Applier;
  readonly #suspect: Suspect | null;
  readonly #readCount = new ReadCount(READ_BATCHES * BATCH_EVENTS_MAX);
  #readAt = 0;
  #droppedAt = 0;
  #checkedAt = performance.now();

  private constructor(deps: OwnerDependencies, dedupe: Dedupe, applier: Applier, suspect: Suspect | null) {
    this.#deps = deps;
    this.#dedupe = dedupe;
    this.#applier = applier;
    this.#suspect = suspect;
  }

  /** Takes over what the owner before left in Redis. */
  static async takeOver(deps: OwnerDependencies): Promise<PartitionOwner> {
    const { client, scripts, partition, token, log } = deps;
    if ((await ensureGroup(client, partition)) && (await client.hget(partition.state, "applied")) !== null) {
      log.error({ partition: partition.partition }, "ALARM: the stream or its group was missing; entries may be lost");
    }
    const noted = await noteTakeOver(client, scripts, partition, token);
    if (noted.kind === "lost") throw new LeaseLost();
    tellSuspect(deps, noted.suspect);
    const dedupe = await Dedupe.load(client, partition, deps.dedupeHorizonMs);
    return new PartitionOwner(deps, dedupe, await Applier.open(deps, dedupe), noted.suspect);
  }

  /**
   * First what is pending, then what is new, until `signal` says stop. Throws LeaseLost, or whatever kept it from going
   * on; entries that were read and not applied stay pending either way.
   */
  async run(signal: AbortSignal): Promise<void> {
    await this.applyPending(signal);
    let next = this.#readAhead();
    while (!signal.aborted) {
      const read = next;
      await read.done;
      const isIdle = read.batches.length === 0;
      const check = isIdle || performance.now() - this.#checkedAt >= CHECK_EVERY_MS;
      // What waits is read while these are applied, but not when pending entries are looked for: they would be found. And
      // where nothing waits, a read would return with the first entry that comes, and the others would miss the batch.
      const readsAhead = !check && this.#readCount.isBehind;
      if (readsAhead) next = this.#readAhead();
      await this.#applyAll(read.batches, readsAhead ? next : null);
      if (check) await this.#checkPending(signal);
      if (isIdle) await this.#dropByTime();
      if (!readsAhead) {
        await this.#gather(signal);
        next = this.#readAhead();
      }
    }
  }

  async #gather(signal: AbortSignal): Promise<void> {
    const rest = this.#readAt + GATHER_MS - performance.now();
    if (rest > 0) await pause(rest, signal);
  }

  /**
   * A read that may fail, or be abandoned, before anybody waits for it. What an abandoned one brings stays pending, and
   * the next run starts with it.
   */
  #readAhead(): Read {
    const bring = (entries: readonly ReceivedEntry[]) => {
      read.batches = [...inBatches(entries)];
    };
    const read: Read = { done: this.#readNew().then(bring), batches: [] };
    read.done.catch(() => undefined);
    return read;
  }

  /**
   * Entries can be delivered and nobody hold them: to a read that was given up, or to a connection that broke with the
   * reply on its way. They are pending under this owner's name, and must not wait until the stream falls idle.
   */
  async #checkPending(signal: AbortSignal): Promise<void> {
    await this.applyPending(signal);
    this.#checkedAt = performance.now();
  }

  async #dropByTime(): Promise<void> {
    await this.#dropExpired(await timeAt(this.#deps.client, this.#deps.partition.stream));
  }

  /** Applies everything that was delivered and not acknowledged. */
  async applyPending(signal?: AbortSignal): Promise<void> {
    while (!signal?.aborted) {
      const count = appliesOneByOne(this.#suspect) ? 1 : this.#readCount.entries;
      const entries = await readPending(this.#deps.client, this.#deps.partition, count, this.#suspect);
      if (entries.length === 0) return;
      await this.#applyAll([...inBatches(entries)]);
    }
  }

  async #readNew(): Promise<ReceivedEntry[]> {
    this.#readAt = performance.now();
    const entries = await readNew(this.#deps.blocking, this.#deps.partition, this.#readCount.entries, BLOCK_MS);
    this.#readCount.learn(entries);
    return entries;
  }

  /** Applies batches in turn; `ahead`: the read that goes on meanwhile. */
  async #applyAll(batches: readonly EntryBatch[], ahead: Read | null = null): Promise<void> {
    for (const [i, batch] of batches.entries()) {
      await this.#applier.apply(batch, () => [...batches.slice(i + 1), ...(ahead?.batches ?? [])]);
      await this.#dropExpired((batch.at(-1) as ReceivedEntry).arrival);
    }
  }

  /** Applies one batch. */
  apply(batch: EntryBatch): Promise<void> {
    return this.#applier.apply(batch);
  }

  /** Drops dedupe families out of use; `oldest` is when the oldest entry that is not applied yet arrived, ms. */
  async #dropExpired(oldest: number): Promise<void> {
    const now = performance.now();
    if (now - this.#droppedAt < DROP_EVERY_MS) return;
    this.#droppedAt = now;
    const { client, scripts, partition, token, dedupeHorizonMs } = this.#deps;
    const bound = oldest - dedupeHorizonMs - DROP_MARGIN_MS;
    this.#dedupe.forgetBefore(bound);
    await dropFamilies(client, scripts, partition, token, bound);
  }
}

function tellSuspect({ partition, metrics, log }: OwnerDependencies, suspect: Suspect | null): void {
  if (suspect === null || suspect.owners < 2) return;
  const details = { partition: partition.partition, ...suspect };
  if (suspect.owners < GIVE_UP_FROM) {
    log.warn(details, "owners ended with this entry as the oldest pending one");
    return;
  }
  metrics.entriesGivenUp.inc();
  log.error(details, "ALARM: an entry is given up, since its workers ended while applying it; see the dead letters");
}

/** Splits entries into batches of at most BATCH_EVENTS_MAX events, or of one entry. */
function* inBatches(entries: readonly ReceivedEntry[]): Generator<EntryBatch> {
  let batch: ReceivedEntry[] = [];
  let events = 0;
  for (const entry of entries) {
    if (batch.length > 0 && events + entry.events.length > BATCH_EVENTS_MAX) {
      yield batch;
      batch = [];
      events = 0;
    }
    batch.push(entry);
    events += entry.events.length;
  }
  if (batch.length > 0) yield batch;
}
