import { setTimeout as delay } from "node:timers/promises";
import type { Counter } from "../core/counter.ts";
import { BATCH_EVENTS_MAX } from "../core/limits.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { RedisClient } from "../redis/client.ts";
import { type ApplyOutcome, applyBatch, parseClock } from "../redis/commands/apply.ts";
import { dropFamilies } from "../redis/commands/drop.ts";
import { noteTakeOver, type Suspect } from "../redis/commands/take-over.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { timeAt } from "../redis/time.ts";
import { Admission } from "./admission.ts";
import { Dedupe } from "./dedupe.ts";
import { ensureGroup, ReadCount, type ReceivedEntry, readNew, readPending } from "./entries.ts";
import { matchEntries } from "./match.ts";
import { planBatch } from "./plan.ts";
import { readSightings } from "./sightings.ts";
import { appliesOneByOne, GIVE_UP_FROM } from "./suspect.ts";

/** How long one read waits for the first new entry, ms. */
const BLOCK_MS = 1_000;
const DROP_EVERY_MS = 1_000;
/** How often pending entries that nobody holds are looked for, ms. */
const CHECK_EVERY_MS = 5_000;
/**
 * What is added to the horizon, ms: an entry that nobody held, or that came while the time was asked for, is older than
 * what was applied last. Dropping late is always safe.
 */
const DROP_MARGIN_MS = 60_000;
/** Fetches of the definitions while they are older than the partition has seen, and the first pause between two, ms. */
const CATCH_UP_TRIES = 6;
const CATCH_UP_PAUSE_MS = 50;

export interface OwnerDependencies {
  readonly partition: PartitionKeys;
  readonly token: string;
  /** Runs scripts and reads; never resends. */
  readonly client: RedisClient;
  /** Waits for entries; used by this owner alone. */
  readonly blocking: RedisClient;
  readonly scripts: Scripts;
  readonly registry: CounterRegistry;
  readonly dedupeHorizonMs: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** The lease is gone: somebody else applies this partition now. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";
}

/** The definitions store was set back, by an old backup for instance: what it numbers anew would mix with what it was. */
export class DefinitionsSetBack extends Error {
  override readonly name = "DefinitionsSetBack";

  constructor(stored: number, seen: number) {
    super(
      `the counter definitions are at version ${stored}, but this partition has counted under version ${seen}: restore tm:{meta}:counters from a newer backup`,
    );
  }
}

/** Applies the entries of one partition, in stream order, for as long as its lease is held. */
export class PartitionOwner {
  readonly #deps: OwnerDependencies;
  readonly #dedupe: Dedupe;
  readonly #admission: Admission;
  readonly #suspect: Suspect | null;
  /** Closed-to marks by generation, as last read. */
  #closed = new Map<string, number>();
  readonly #readCount = new ReadCount(2 * BATCH_EVENTS_MAX);
  #droppedAt = 0;
  #checkedAt = performance.now();

  private constructor(deps: OwnerDependencies, dedupe: Dedupe, suspect: Suspect | null) {
    this.#deps = deps;
    this.#dedupe = dedupe;
    this.#suspect = suspect;
    this.#admission = new Admission(deps.client, deps.scripts);
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
    const owner = new PartitionOwner(deps, dedupe, noted.suspect);
    await owner.#loadClocks();
    return owner;
  }

  /**
   * First what is pending, then what is new, until `signal` says stop. Throws LeaseLost, or whatever kept it from going
   * on; entries that were read and not applied stay pending either way.
   */
  async run(signal: AbortSignal): Promise<void> {
    await this.applyPending(signal);
    let next = this.#readAhead();
    while (!signal.aborted) {
      const entries = await next;
      const isIdle = entries.length === 0;
      const check = isIdle || performance.now() - this.#checkedAt >= CHECK_EVERY_MS;
      // What waits is read while these are applied, but not when pending entries are looked for: they would be found. And
      // where nothing waits, a read would return with the first entry that comes, and the others would miss the batch.
      const readsAhead = !check && this.#readCount.isBehind;
      if (readsAhead) next = this.#readAhead();
      await this.#applyAll(entries);
      if (check) await this.#checkPending(signal);
      if (isIdle) await this.#dropByTime();
      if (!readsAhead) next = this.#readAhead();
    }
  }

  /**
   * A read that may fail, or be abandoned, before anybody waits for it. What an abandoned one brings stays pending, and
   * the next run starts with it.
   */
  #readAhead(): Promise<ReceivedEntry[]> {
    const read = this.#readNew();
    read.catch(() => undefined);
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
      await this.#applyAll(entries);
    }
  }

  async #readNew(): Promise<ReceivedEntry[]> {
    const entries = await readNew(this.#deps.blocking, this.#deps.partition, this.#readCount.entries, BLOCK_MS);
    this.#readCount.learn(entries);
    return entries;
  }

  async #applyAll(entries: readonly ReceivedEntry[]): Promise<void> {
    for (const batch of inBatches(entries)) {
      await this.apply(batch);
      await this.#dropExpired((batch.at(-1) as ReceivedEntry).arrival);
    }
  }

  /** Applies one batch, planning it again while the script says that the plan is out of date. */
  async apply(entries: readonly ReceivedEntry[]): Promise<void> {
    const stop = this.#deps.metrics.batchSeconds.startTimer();
    const skipped = new Set<string>();
    for (;;) {
      const { outcome, refused } = await this.#attempt(entries, skipped);
      if (outcome.kind === "ok") {
        stop();
        return this.#account(entries, outcome, refused);
      }
      if (outcome.kind === "lost") throw new LeaseLost();
      if (outcome.kind === "stale") await this.#catchUp(outcome.version);
      if (outcome.kind === "ledger") await this.#loadClocks();
      if (outcome.kind === "skip") for (const id of outcome.entries) skipped.add(id);
    }
  }

  /** Fetches the definitions until they are at the version that the partition has seen. */
  async #catchUp(seen: number): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const { version } = await this.#deps.registry.refresh();
      if (version >= seen) return;
      if (attempt === CATCH_UP_TRIES) throw new DefinitionsSetBack(version, seen);
      await delay(CATCH_UP_PAUSE_MS * 2 ** attempt);
    }
  }

  /** `refused`: hits that count under `other`. */
  async #attempt(
    entries: readonly ReceivedEntry[],
    skipped: ReadonlySet<string>,
  ): Promise<{ outcome: ApplyOutcome; refused: number }> {
    const { client, scripts, partition, token, registry, metrics } = this.#deps;
    const dedupe = this.#dedupe;
    const definitions = registry.current;
    const matched = matchEntries(entries, definitions);
    await this.#admission.learn(matched);
    const unapplied = matched.filter(({ entry }) => !skipped.has(entry.id));
    const sightings = await readSightings({ client, scripts, partition, dedupe }, unapplied);
    let refused = 0;
    const { keys, batch, events } = planBatch(matched, {
      version: definitions.version,
      partition,
      staged: definitions.staged,
      fingerprintTtl: dedupe.expiryMs,
      sightings,
      skipped,
      admitted: (hit) => {
        const isAdmitted = this.#admission.admitted(hit);
        if (!isAdmitted) refused++;
        return isAdmitted;
      },
      closedTo: (counter) => this.#closedTo(counter),
    });
    metrics.batchEvents.observe(events);
    const stop = metrics.applySeconds.startTimer();
    const outcome = await applyBatch(client, scripts, partition, token, keys, batch);
    stop();
    return { outcome, refused };
  }

  #account(entries: readonly ReceivedEntry[], outcome: ApplyOutcome & { kind: "ok" }, refused: number): void {
    const { events, entriesSkipped, ingestLag, keysOverflowing } = this.#deps.metrics;
    const now = Date.now();
    for (const { arrival } of entries) ingestLag.observe(Math.max(0, now - arrival) / 1_000);
    keysOverflowing.inc(refused);
    for (const name of ["applied", "duplicates", "late", "dead"] as const) events.inc({ outcome: name }, outcome[name]);
    entriesSkipped.inc(outcome.skipped);
  }

  #closedTo(counter: Counter): number {
    return this.#closed.get(String(counter.generation)) ?? Number.NEGATIVE_INFINITY;
  }

  async #loadClocks(): Promise<void> {
    const texts = await this.#deps.client.hgetall(this.#deps.partition.clocks);
    this.#closed = new Map(Object.entries(texts).map(([generation, text]) => [generation, parseClock(text).closed]));
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
function* inBatches(entries: readonly ReceivedEntry[]): Generator<ReceivedEntry[]> {
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
