import { setTimeout as delay } from "node:timers/promises";
import type { Counter } from "../core/counter.ts";
import type { Definitions } from "../counters/definitions.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { RedisClient } from "../redis/client.ts";
import { type ApplyOutcome, applyBatch, parseClock, type Seen } from "../redis/commands/apply.ts";
import { KnownFolds } from "../redis/commands/fold.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { Admission } from "./admission.ts";
import type { Dedupe } from "./dedupe.ts";
import type { EntryBatch } from "./entries.ts";
import { type MatchedEntry, matchEntries } from "./match.ts";
import type { StreamMetrics } from "./metrics.ts";
import { type Plan, planBatch } from "./plan.ts";
import { NO_SIGHTINGS, questionsOf, type Sightings, type Sought, seek, sight } from "./sightings.ts";

/** Fetches of the definitions while they are older than the partition has seen, and the first pause between two, ms. */
const CATCH_UP_TRIES = 6;
const CATCH_UP_PAUSE_MS = 50;

export interface ApplierDependencies {
  readonly partition: PartitionKeys;
  /** Of the lease under which batches are applied. */
  readonly token: string;
  /** Never resends. */
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly registry: CounterRegistry;
  readonly metrics: StreamMetrics;
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

/** A batch, and what it counts for under one version of the definitions. */
interface Matched {
  readonly definitions: Definitions;
  readonly matched: readonly MatchedEntry[];
  readonly skipped: ReadonlySet<string>;
  readonly sought: readonly Sought[];
}

type Looked = ApplyOutcome & { readonly kind: "ok" };

/**
 * Applies batches of one partition in turn. Each takes three steps: it is matched with the counters, its ids are looked up
 * behind all that was applied before, and it is planned and applied. While Redis is busy with one batch, the ids of the next
 * are on their way with it, and the next but one is matched.
 */
export class Applier {
  readonly #deps: ApplierDependencies;
  readonly #dedupe: Dedupe;
  readonly #admission: Admission;
  /** Closed-to marks by generation, as last read. */
  #closed = new Map<string, number>();
  readonly #folds: KnownFolds;
  /** Batches that are matched and not applied yet. */
  readonly #matching = new Map<EntryBatch, Promise<Matched>>();
  /** What was seen of the batch behind the last one. */
  #ahead: { readonly matched: Matched; readonly seen: Seen } | null = null;

  private constructor(deps: ApplierDependencies, dedupe: Dedupe) {
    this.#deps = deps;
    this.#dedupe = dedupe;
    this.#admission = new Admission(deps.client, deps.scripts);
    this.#folds = new KnownFolds(deps.client, deps.partition);
  }

  static async open(deps: ApplierDependencies, dedupe: Dedupe): Promise<Applier> {
    const applier = new Applier(deps, dedupe);
    await Promise.all([applier.#loadClocks(), applier.#folds.load()]);
    return applier;
  }

  /**
   * Applies one batch, planning it again while the script says that the plan is out of date. `following` tells which
   * batches come behind it, as far as they are known. Throws LeaseLost or DefinitionsSetBack.
   */
  async apply(batch: EntryBatch, following: () => readonly EntryBatch[] = () => []): Promise<void> {
    const stop = this.#deps.metrics.batchSeconds.startTimer();
    let matched = await this.#matchOnce(batch);
    let seen = this.#ahead?.matched === matched ? this.#ahead.seen : null;
    const [nextBatch] = following();
    let next = nextBatch ? await this.#matchOnce(nextBatch) : null;
    const matchAhead = () => {
      const nextButOne = following()[1];
      if (nextButOne) void this.#matchOnce(nextButOne);
    };
    for (const skipped = new Set<string>(); ; seen = null) {
      const { outcome, events, refused } = await this.#attempt(matched, seen, next, matchAhead);
      if (outcome.kind === "ok") {
        this.#deps.metrics.batchEvents.observe(events);
        this.#matching.delete(batch);
        this.#ahead = next && { matched: next, seen: outcome.seen };
        stop();
        return this.#account(batch, outcome, refused);
      }
      if (outcome.kind === "lost") throw new LeaseLost();
      if (outcome.kind === "stale") await this.#catchUp(outcome.version);
      if (outcome.kind === "ledger") await this.#loadClocks();
      if (outcome.kind === "fold") await this.#folds.load();
      if (outcome.kind === "skip") for (const id of outcome.entries) skipped.add(id);
      // In this order: where an id is looked for depends on those before it.
      this.#matching.clear();
      matched = await this.#match(batch, skipped);
      if (nextBatch) next = await this.#matchOnce(nextBatch);
    }
  }

  #matchOnce(batch: EntryBatch): Promise<Matched> {
    let matching = this.#matching.get(batch);
    if (!matching) {
      matching = this.#match(batch, new Set());
      // It may fail before anybody waits for it.
      matching.catch(() => undefined);
      this.#matching.set(batch, matching);
    }
    return matching;
  }

  /** Matches a batch with the counters; of entries that were applied already, `skipped`, nothing is looked for. */
  async #match(batch: EntryBatch, skipped: ReadonlySet<string>): Promise<Matched> {
    const definitions = this.#deps.registry.current;
    const { entries: matched, keys } = matchEntries(batch, definitions);
    await this.#admission.learn(keys);
    const unapplied = matched.filter(({ entry }) => !skipped.has(entry.id));
    return { definitions, matched, skipped, sought: seek(unapplied, this.#dedupe) };
  }

  /** `events`: how many the batch has; `refused`: hits under keys that are not admitted. */
  async #attempt(
    matched: Matched,
    seen: Seen | null,
    next: Matched | null,
    sent: () => void,
  ): Promise<{ outcome: ApplyOutcome; events: number; refused: number }> {
    const { metrics } = this.#deps;
    const looked = seen ? null : await this.#send(this.#plan({ ...matched, matched: [] }, NO_SIGHTINGS), matched);
    if (looked && looked.kind !== "ok") return { outcome: looked, events: 0, refused: 0 };
    const plan = this.#plan(matched, sight(matched.sought, seen ?? (looked as Looked).seen));
    const stop = metrics.applySeconds.startTimer();
    const applying = this.#send(plan, next);
    sent();
    const outcome = await applying;
    stop();
    return { outcome, events: plan.events, refused: plan.refused };
  }

  #plan({ definitions, matched, skipped }: Matched, sightings: Sightings): Plan {
    return planBatch(matched, {
      version: definitions.version,
      partition: this.#deps.partition,
      staged: definitions.staged,
      fingerprintTtl: this.#dedupe.expiryMs,
      sightings,
      skipped,
      admitted: (key) => this.#admission.admitted(key),
      closedTo: (counter) => this.#closedTo(counter),
      directTo: (counter, window) => this.#folds.directTo(counter, window),
    });
  }

  /** Has a batch applied, and then the ids of the next one looked up. */
  #send(plan: Plan, next: Matched | null): Promise<ApplyOutcome> {
    const { client, scripts, partition, token } = this.#deps;
    return applyBatch(client, scripts, partition, token, plan, next ? questionsOf(next.sought) : []);
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

  #account(batch: EntryBatch, outcome: Looked, refused: number): void {
    const { events, entriesSkipped, ingestLag, keysOverflowing } = this.#deps.metrics;
    const now = Date.now();
    for (const { arrival } of batch) ingestLag.observe(Math.max(0, now - arrival) / 1_000);
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
}
