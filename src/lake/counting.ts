import { setTimeout as delay } from "node:timers/promises";
import type { Counter } from "../core/counter.ts";
import type { ReceivedEvent } from "../core/packed.ts";
import { Definitions } from "../counters/definitions.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { RedisClient } from "../redis/client.ts";
import { type ApplyOutcome, applyBatch, type Batch, NOTHING_ASKED, packBatch } from "../redis/commands/apply.ts";
import { KnownFolds } from "../redis/commands/fold.ts";
import { isUnavailable } from "../redis/failures.ts";
import { type PartitionKeys, rebuiltField } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { Admission } from "../stream/admission.ts";
import type { ReceivedEntry } from "../stream/entries.ts";
import { type MatchedEntry, matchEntries } from "../stream/match.ts";
import { planBatch } from "../stream/plan.ts";
import { NO_SIGHTINGS } from "../stream/sightings.ts";
import type { LakeRow } from "./rows.ts";

/** While Redis does not answer, ms. */
const RETRY_MS = 500;
/** A row that counts is neither looked up nor remembered among the duplicates. */
const NO_IDENTITY = { fingerprint: "0", spread: 0 };

export interface LakeCountingDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly registry: CounterRegistry;
  readonly partitions: readonly PartitionKeys[];
  /** Generation that is counted. */
  readonly staged: Counter;
}

/** Counts rows of the lake for a staged generation, each batch once: a number says which were. */
export class LakeCounting {
  readonly #deps: LakeCountingDependencies;
  readonly #definitions: Definitions;
  readonly #admission: Admission;
  readonly #numbers = new Map<PartitionKeys, number>();
  readonly #folds: ReadonlyMap<PartitionKeys, KnownFolds>;
  events = 0;

  constructor(deps: LakeCountingDependencies) {
    this.#deps = deps;
    const { definition, generation } = deps.staged;
    this.#definitions = new Definitions({ version: 0, counters: [], staged: [{ definition, generation }] });
    this.#admission = new Admission(deps.client, deps.scripts);
    this.#folds = new Map(deps.partitions.map((partition) => [partition, new KnownFolds(deps.client, partition)]));
  }

  /** As many rows as one script may count. Throws when the generation is not staged any more. */
  async count(rows: readonly LakeRow[]): Promise<void> {
    for (const [partition, keys] of this.#deps.partitions.entries()) {
      const entries = entriesOf(rows.filter((row) => row.partition === partition));
      const batch = matchEntries(entries, this.#definitions);
      const matched = batch.entries.map(onlyHits).filter(({ events }) => events.length > 0);
      if (matched.length === 0) continue;
      await this.#admission.learn(batch.keys);
      await this.#countIn(keys, matched);
    }
  }

  async #countIn(keys: PartitionKeys, matched: readonly MatchedEntry[]): Promise<void> {
    const number = (this.#numbers.get(keys) ?? 0) + 1;
    this.#numbers.set(keys, number);
    for (;;) {
      const outcome = await this.#attempt(keys, matched, number).catch((error) => {
        if (!isUnavailable(error)) throw error;
        return null;
      });
      if (outcome?.kind === "ok") break;
      if (outcome?.kind === "stale") await this.#deps.registry.refresh();
      else if (outcome?.kind === "fold") await this.#folds.get(keys)?.load();
      else if (outcome === null) await delay(RETRY_MS);
      else throw new Error("the counter was changed or deleted while it was rebuilt");
    }
    this.events += matched.reduce((sum, { events }) => sum + events.length, 0);
  }

  #attempt(keys: PartitionKeys, matched: readonly MatchedEntry[], number: number): Promise<ApplyOutcome> {
    const { client, scripts, registry, staged } = this.#deps;
    const plan = planBatch(matched, {
      version: registry.current.version,
      partition: keys,
      fingerprintTtl: 0,
      staged: this.#definitions.staged,
      sightings: NO_SIGHTINGS,
      skipped: new Set(),
      admitted: (key) => this.#admission.admitted(key),
      closedTo: () => Number.NEGATIVE_INFINITY,
      directTo: (counter, window) => this.#folds.get(keys)?.directTo(counter, window) ?? Number.POSITIVE_INFINITY,
    });
    const batch: Batch = { ...plan.batch, rebuild: { field: rebuiltField(staged.generation), number } };
    return applyBatch(client, scripts, keys, "", packBatch(plan.keys, batch), NOTHING_ASKED);
  }
}

/** Rows of one partition, gathered by their arrival, which moves the clocks. */
function entriesOf(rows: readonly LakeRow[]): ReceivedEntry[] {
  const byArrival = new Map<number, ReceivedEvent[]>();
  for (const { arrived, id, source, type, time, subject, data } of rows) {
    const event = { ...NO_IDENTITY, id, source, type, time, subject, data: data === null ? null : JSON.parse(data) };
    const events = byArrival.get(arrived);
    if (events) events.push(event);
    else byArrival.set(arrived, [event]);
  }
  return [...byArrival].map(([arrival, events]) => {
    return { id: `${arrival}-0`, arrival, reply: "", ticket: "", readmit: null, events };
  });
}

/** What cannot be counted was no number for the live counter either. */
function onlyHits({ entry, events }: MatchedEntry): MatchedEntry {
  return { entry, events: events.filter((event) => !("fault" in event) && event.hits.length > 0) };
}
