import { compact } from "../cold/compact.ts";
import { type CorrectionDependencies, exportCorrections } from "../cold/corrections.ts";
import { exportClosed } from "../cold/export.ts";
import { forgetExported } from "../cold/forget.ts";
import { sweepDeleted } from "../cold/sweep.ts";
import type { Counter } from "../core/counter.ts";
import { bucketStart } from "../core/window.ts";
import type { Metrics } from "../metrics.ts";
import { parseClock } from "../redis/commands/apply.ts";
import { parseMarks } from "../redis/commands/marks.ts";
import { marksField, type PartitionKeys } from "../redis/keys.ts";

export interface WorkDependencies extends CorrectionDependencies {
  readonly partitions: readonly PartitionKeys[];
  readonly metrics: Metrics;
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

  /** Partitions with something to export. Also measures how far export is behind. */
  async findDue(): Promise<number[]> {
    const due: number[] = [];
    let lag = 0;
    for (const keys of this.#deps.partitions) {
      const { isDue, behind } = await this.#look(keys);
      if (isDue) due.push(keys.partition);
      lag = Math.max(lag, behind);
    }
    this.#deps.metrics.exportLag.set(lag / 1_000);
    return due;
  }

  /** Everything closed and every correction of one partition. */
  async exportPartition(partition: number): Promise<void> {
    const keys = this.#deps.partitions[partition];
    if (!keys) return;
    const { metrics } = this.#deps;
    metrics.exportedRows.inc(await exportCorrections(this.#deps, keys));
    for (const counter of this.#counters) metrics.exportedRows.inc(await exportClosed(this.#deps, keys, counter));
  }

  /** Everything of one partition that is exported and past its `keep`. */
  async forgetPartition(partition: number): Promise<void> {
    const keys = this.#deps.partitions[partition];
    if (!keys) return;
    for (const counter of this.#counters) {
      this.#deps.metrics.bucketsForgotten.inc(await forgetExported(this.#deps, keys, counter));
    }
  }

  /** What is past its `coldKeep`, and what deleted counters have left. */
  async compactAll(): Promise<void> {
    for (const counter of this.#counters) await compact(this.#deps, counter);
    await sweepDeleted(this.#deps);
  }

  get #counters(): readonly Counter[] {
    return this.#deps.registry.current.counters;
  }

  async #look(keys: PartitionKeys): Promise<{ isDue: boolean; behind: number }> {
    const { client } = this.#deps;
    const [clocks, cold, corrections] = await Promise.all([
      client.hgetall(keys.clocks),
      client.hgetall(keys.cold),
      client.xlen(keys.corrections),
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
    return { isDue: behind > 0 || corrections > 0, behind };
  }
}
