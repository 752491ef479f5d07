import { foldPassed } from "../buckets/fold.ts";
import { holdingFields, parseWhereabouts } from "../buckets/state.ts";
import type { LedgerArchive } from "../cold/archive.ts";
import { compact } from "../cold/compact.ts";
import { type CorrectionDependencies, exportCorrections } from "../cold/corrections.ts";
import { exportClosed } from "../cold/export.ts";
import { forgetExported, forgettableTo } from "../cold/forget.ts";
import { sweepDeleted } from "../cold/sweep.ts";
import type { Counter } from "../core/counter.ts";
import { LEDGER_FULL, LEDGER_HOT } from "../core/limits.ts";
import { bucketStart } from "../core/window.ts";
import type { Metrics } from "../metrics.ts";
import { parseClock } from "../redis/commands/apply.ts";
import { isBehind, parseFoldMarks } from "../redis/commands/fold.ts";
import { type Marks, parseMarks } from "../redis/commands/marks.ts";
import { foldField, LEDGERS, marksField, type PartitionKeys } from "../redis/keys.ts";

export interface WorkDependencies extends CorrectionDependencies {
  readonly partitions: readonly PartitionKeys[];
  readonly archive: LedgerArchive;
  readonly metrics: Metrics;
}

/** What a look at one partition shows. */
interface Look {
  readonly partition: number;
  readonly isDue: boolean;
  /** Event time that is closed and not exported, of the window where it is most, ms. */
  readonly behind: number;
  /** By generation. */
  readonly clocks: Readonly<Record<string, string>>;
  /** Entries in Redis, in the order of LEDGERS. */
  readonly ledgers: readonly number[];
}

/**
 * What jobs do. Each looks for what is due in the data itself and does it, so it may run twice, beside itself, in any
 * order, or be killed, and whatever it left is found by the next one.
 */
export class Work {
  readonly #deps: WorkDependencies;

  constructor(deps: WorkDependencies) {
    this.#deps = deps;
  }

  /** Partitions with something to fold, export or forget. Also measures what the look has shown of the whole deployment. */
  async findDue(): Promise<number[]> {
    const looks: Look[] = [];
    for (const keys of this.#deps.partitions) looks.push(await this.#look(keys));
    this.#measure(looks);
    return looks.filter(({ isDue }) => isDue).map(({ partition }) => partition);
  }

  #measure(looks: readonly Look[]): void {
    const { exportLag, ledgerEntries, watermarkLag } = this.#deps.metrics;
    exportLag.set(Math.max(0, ...looks.map(({ behind }) => behind)) / 1_000);
    for (const [i, ledger] of LEDGERS.entries()) {
      ledgerEntries.set(
        { ledger },
        looks.map(({ ledgers }) => ledgers[i] ?? 0).reduce((a, b) => a + b, 0),
      );
    }
    // A counter that was deleted must not stay behind for ever.
    watermarkLag.reset();
    const now = Date.now();
    for (const { name, generation } of this.#counters) {
      const texts = looks.map(({ clocks }) => clocks[generation]).filter((text) => text !== undefined);
      if (texts.length === 0) continue;
      const watermark = Math.min(...texts.map((text) => parseClock(text).clock));
      watermarkLag.set({ counter: name }, Math.max(0, now - watermark) / 1_000);
    }
  }

  /** Folds what the clocks have passed, then exports everything closed, every correction, and what the ledgers have too much of. */
  async exportPartition(partition: number): Promise<void> {
    const keys = this.#deps.partitions[partition];
    if (!keys) return;
    const { archive, metrics } = this.#deps;
    for (const counter of this.#folding) metrics.bucketsFolded.inc(await foldPassed(this.#deps, keys, counter));
    metrics.exportedRows.inc(await exportCorrections(this.#deps, keys));
    for (const counter of this.#counters) metrics.exportedRows.inc(await exportClosed(this.#deps, keys, counter));
    for (const ledger of LEDGERS) {
      const limits = { above: LEDGER_FULL, keep: LEDGER_HOT };
      metrics.ledgerArchived.inc({ ledger }, await archive.take(keys, ledger, limits));
    }
  }

  /** Everything of one partition that is exported and past its `keep`. */
  async forgetPartition(partition: number): Promise<void> {
    const keys = this.#deps.partitions[partition];
    if (!keys) return;
    for (const counter of this.#counters) {
      this.#deps.metrics.bucketsForgotten.inc(await forgetExported(this.#deps, keys, counter));
    }
  }

  /** What is past its `coldKeep`, what deleted counters have left, and what was not ended in the ledgers' archive. */
  async compactAll(): Promise<void> {
    const { archive, partitions } = this.#deps;
    for (const counter of this.#counters) await compact(this.#deps, counter);
    await sweepDeleted(this.#deps);
    for (const keys of partitions) for (const ledger of LEDGERS) await archive.finish(keys, ledger);
  }

  get #counters(): readonly Counter[] {
    return this.#deps.registry.current.counters;
  }

  /** Generations that are being rebuilt are folded as well. */
  get #folding(): readonly Counter[] {
    const { counters, staged } = this.#deps.registry.current;
    return [...counters, ...staged];
  }

  async #look(keys: PartitionKeys): Promise<Look> {
    const { client } = this.#deps;
    const [clocks, cold, corrections, ...ledgers] = await Promise.all([
      client.hgetall(keys.clocks),
      client.hgetall(keys.cold),
      client.xlen(keys.corrections),
      ...LEDGERS.map((ledger) => client.xlen(keys[ledger])),
    ]);
    let behind = 0;
    for (const counter of this.#counters) {
      const clock = clocks[String(counter.generation)];
      if (clock === undefined) continue;
      for (const window of counter.windows) {
        const closed = bucketStart(Math.max(0, parseClock(clock).closed), window.ms);
        const { exported } = parseMarks(cold[marksField(counter, window)] ?? null);
        // A window that was never exported is behind by what it holds, not by all the time since 1970.
        const since = Math.max(exported, bucketStart(parseClock(clock).oldest, window.ms));
        behind = Math.max(behind, closed - since);
      }
    }
    const isMoveDue = this.#isFoldDue(clocks, cold) || this.#isForgetDue(clocks, cold);
    const isFull = ledgers.some((entries) => entries >= LEDGER_FULL);
    const { partition } = keys;
    return { partition, isDue: behind > 0 || corrections > 0 || isFull || isMoveDue, behind, clocks, ledgers };
  }

  #isFoldDue(clocks: Look["clocks"], cold: Readonly<Record<string, string>>): boolean {
    return this.#folding.some((counter) => {
      const text = clocks[String(counter.generation)];
      const clock = text === undefined ? 0 : parseClock(text).clock;
      return counter.windows.some((window) => {
        const marks = parseFoldMarks(cold[foldField(counter, window)]);
        return isBehind(marks) || clock >= marks.folded + window.ms;
      });
    });
  }

  /** What was exported while a job forgets may have come too late for that job, and no other was made beside it. */
  #isForgetDue(clocks: Look["clocks"], cold: Readonly<Record<string, string>>): boolean {
    return this.#counters.some((counter) => {
      const text = clocks[String(counter.generation)];
      if (text === undefined) return false;
      const fields = holdingFields(counter).map((field) => cold[field] ?? null);
      const { marks, folds } = parseWhereabouts(counter, fields);
      const ends = forgettableTo(counter, { marks, folds }, parseClock(text).clock);
      return ends.some((to, w) => to > (marks[w] as Marks).hot);
    });
  }
}
