import { setTimeout as delay, setImmediate as endOfTurn } from "node:timers/promises";
import type { Counter } from "../core/counter.ts";
import type { Definitions } from "../counters/definitions.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { RedisClient } from "../redis/client.ts";
import { type ApplyOutcome, applyBatch, type PackedBatch, packBatch, parseClock } from "../redis/commands/apply.ts";
import { KnownFolds } from "../redis/commands/fold.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { Admission } from "./admission.ts";
import type { Dedupe } from "./dedupe.ts";
import type { EntryBatch } from "./entries.ts";
import { type MatchedEntry, matchEntries } from "./match.ts";
import type { StreamMetrics } from "./metrics.ts";
import { type Plan, planBatch } from "./plan.ts";
import {
  type Looked,
  NO_SIGHTINGS,
  questionsOf,
  type Sent,
  type Sightings,
  type Sought,
  seek,
  sight,
  splitSeen,
  unknownOf,
} from "./sightings.ts";

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

/** Batches behind one that is applied whose ids are looked up with it. */
const LOOKED_AHEAD = 2;
/** Batches behind it that are matched meanwhile. */
const MATCHED_AHEAD = 3;

/** A batch, and what it counts for under one version of the definitions. */
interface Matched {
  readonly definitions: Definitions;
  readonly matched: readonly MatchedEntry[];
  readonly skipped: ReadonlySet<string>;
  readonly sought: readonly Sought[];
}

/** A batch that may be sent once as many entries have been applied as it expects. */
interface Planned {
  readonly matched: Matched;
  readonly plan: Plan;
  readonly packed: PackedBatch;
  /** What it leaves behind. */
  readonly sent: Sent;
}

type Applied = ApplyOutcome & { readonly kind: "ok" };

/** What came of sending a batch, and the plan that was applied. */
type Attempt =
  | { readonly plan: Plan; readonly outcome: Applied }
  | { readonly plan: null; readonly outcome: Exclude<ApplyOutcome, Applied> };

/**
 * Applies batches of one partition in turn. Each takes three steps: it is matched with the counters, its ids are looked up,
 * and it is planned and applied. While Redis is busy with one batch, the next is planned and those behind it are matched;
 * ids are looked up with the batch before last, since a plan knows what the last one remembers, and not at all where they
 * belong to slices that are known.
 */
export class Applier {
  readonly #deps: ApplierDependencies;
  readonly #dedupe: Dedupe;
  readonly #admission: Admission;
  /** Closed-to marks by generation, as last read. */
  #closed = new Map<string, number>();
  readonly #folds: KnownFolds;
  /** Batches that are matched and not applied yet; another map once they must be matched anew. */
  #matching = new Map<EntryBatch, Promise<Matched>>();
  /** Answers about ids, for as long as the batch is matched. */
  readonly #looked = new WeakMap<Matched, Looked>();
  /** The last batch that was sent; `null` once it was refused. */
  #sent: Sent | null = null;
  /** The batch behind it, until it is sent itself. */
  #planned: Planned | null = null;

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
    for (const skipped = new Set<string>(); ; ) {
      const { outcome, plan } = await this.#attempt(matched, following).catch((error) => {
        this.#startAnew();
        throw error;
      });
      if (plan) {
        this.#matching.delete(batch);
        stop();
        return this.#account(batch, plan, outcome);
      }
      this.#startAnew();
      if (outcome.kind === "lost") throw new LeaseLost();
      if (outcome.kind === "stale") await this.#catchUp(outcome.version);
      if (outcome.kind === "ledger") await this.#loadClocks();
      if (outcome.kind === "fold") await this.#folds.load();
      if (outcome.kind === "skip") for (const id of outcome.entries) skipped.add(id);
      // What is behind the batch is matched anew, after it: where an id is looked for depends on those before it.
      this.#matching = new Map();
      matched = await this.#match(batch, skipped);
    }
  }

  #matchOnce(batch: EntryBatch, matching = this.#matching): Promise<Matched> {
    let matched = matching.get(batch);
    if (!matched) {
      matched = this.#match(batch, new Set());
      // It may fail before anybody waits for it.
      matched.catch(() => undefined);
      matching.set(batch, matched);
    }
    return matched;
  }

  /** Matches a batch with the counters; of entries that were applied already, `skipped`, nothing is looked for. */
  async #match(batch: EntryBatch, skipped: ReadonlySet<string>): Promise<Matched> {
    const definitions = this.#deps.registry.current;
    const { entries: matched, keys } = matchEntries(batch, definitions);
    await this.#admission.learn(keys);
    const unapplied = matched.filter(({ entry }) => !skipped.has(entry.id));
    return { definitions, matched, skipped, sought: seek(unapplied, this.#dedupe) };
  }

  /** What was planned or sent is not applied, or nobody knows: what is known of ids must be looked up again. */
  #startAnew(): void {
    this.#sent = null;
    this.#planned = null;
    this.#dedupe.slices.clear();
  }

  /** Looks, where that must be, and sends the batch. */
  async #attempt(matched: Matched, following: () => readonly EntryBatch[]): Promise<Attempt> {
    let planned = this.#planFor(matched);
    if (!planned) {
      const looked = await this.#look(matched);
      if (looked.kind !== "ok") return { plan: null, outcome: looked };
      planned = this.#planFor(matched);
      if (!planned) return { plan: null, outcome: { kind: "moved" } };
    }
    const unseen: Matched[] = [];
    for (const batch of following().slice(0, LOOKED_AHEAD)) {
      const next = await this.#matchOnce(batch);
      if (!this.#looked.has(next)) unseen.push(next);
    }
    const stop = this.#deps.metrics.applySeconds.startTimer();
    const applying = this.#send(planned.packed, unseen);
    this.#sent = planned.sent;
    this.#planned = null;
    // It may fail before anybody waits for it, and is made again then.
    this.#workAhead(planned.sent, following).catch(() => undefined);
    const outcome = await applying;
    stop();
    return outcome.kind === "ok" ? { plan: planned.plan, outcome } : { plan: null, outcome };
  }

  /** While Redis is busy with the batch that was sent: once what is to be sent has been sent. */
  async #workAhead(sent: Sent, following: () => readonly EntryBatch[]): Promise<void> {
    const matching = this.#matching;
    await endOfTurn();
    for (const [i, batch] of following().slice(0, MATCHED_AHEAD).entries()) {
      const matched = await this.#matchOnce(batch, matching);
      // Unless this took so long that it was sent meanwhile.
      if (i === 0 && this.#sent === sent) this.#planFor(matched);
    }
  }

  #look(matched: Matched): Promise<ApplyOutcome> {
    const { keys, batch } = this.#plan({ ...matched, matched: [] }, NO_SIGHTINGS);
    return this.#send(packBatch(keys, batch), [matched]);
  }

  /**
   * The plan of the batch that is sent next; `null` where ids must be looked up first. A batch is planned once, since it would
   * find its own ids among those that are known.
   */
  #planFor(matched: Matched): Planned | null {
    if (this.#planned?.matched === matched) return this.#planned;
    if (this.#planned) this.#startAnew();
    try {
      this.#planned = this.#planNext(matched);
    } catch (error) {
      this.#startAnew();
      throw error;
    }
    return this.#planned;
  }

  #planNext(matched: Matched): Planned | null {
    const known = { sent: this.#sent, slices: this.#dedupe.slices };
    const arrival = matched.matched.at(-1)?.entry.arrival ?? 0;
    const sightings = sight(matched.sought, this.#looked.get(matched) ?? null, known, arrival);
    if (!sightings) return null;
    const plan = this.#plan(matched, sightings);
    const { applied: before, inserts, ids } = sightings;
    const after = String(Number(before) + plan.batch.entries.filter(({ skip }) => !skip).length);
    const sent = { before, after, inserts, ids };
    return { matched, plan, packed: packBatch(plan.keys, plan.batch), sent };
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

  /** Has a batch applied, and then the ids of others looked up. */
  async #send(packed: PackedBatch, others: readonly Matched[]): Promise<ApplyOutcome> {
    const { client, scripts, partition, token } = this.#deps;
    const sought = others.map((matched) => unknownOf(matched.sought, this.#dedupe.slices));
    const outcome = await applyBatch(client, scripts, partition, token, packed, questionsOf(sought.flat()));
    if (outcome.kind !== "ok") return outcome;
    const answers = splitSeen(sought, outcome.seen);
    for (const [i, matched] of others.entries()) this.#looked.set(matched, answers[i] as Looked);
    return outcome;
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

  #account(batch: EntryBatch, plan: Plan, outcome: Applied): void {
    const { events, entriesSkipped, ingestLag, keysOverflowing, batchEvents } = this.#deps.metrics;
    batchEvents.observe(plan.events);
    const now = Date.now();
    for (const { arrival } of batch) ingestLag.observe(Math.max(0, now - arrival) / 1_000);
    keysOverflowing.inc(plan.refused);
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
