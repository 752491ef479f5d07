import { setTimeout as delay } from "node:timers/promises";
import { type Counter, widestOf } from "../core/counter.ts";
import { BATCH_EVENTS_MAX } from "../core/limits.ts";
import { bucketCeil, bucketStart } from "../core/window.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { RedisClient } from "../redis/client.ts";
import { isArchiving, oldestUnarchived } from "../redis/commands/lake.ts";
import { beginSeam, forgetSeam, type Seam } from "../redis/commands/stage.ts";
import { compareEntryIds } from "../redis/entry-id.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { LakeCounting } from "./counting.ts";
import { type LakeSpan, readDistinct } from "./reader.ts";
import type { LakeRow } from "./rows.ts";
import type { LakeStore } from "./store.ts";

const PAUSE_MS = 250;
/** A group that is made anew has read again what it had applied within seconds; so many tries, then it is given up. */
const SEAM_TRIES = 240;

export interface RebuilderDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly registry: CounterRegistry;
  readonly partitions: readonly PartitionKeys[];
  readonly store: LakeStore;
}

export interface RebuildRequest {
  readonly counter: string;
  /** Epoch ms; absent: from the first event, to the last. Widened to whole buckets of the widest window. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export interface RebuildProgress {
  /** `waiting`: for the archive, which has not all events yet that came before the seam. */
  readonly state: "waiting" | "counting";
  /** Readings of segments that are done, of all; each is read twice. */
  readonly read: number;
  readonly all: number;
  /** Events counted. */
  readonly events: number;
}

/**
 * Counts a counter anew from the lake, as a new generation beside the one that lives, which then takes its place. In each
 * partition a seam divides the entries: those before it count from the lake, those behind it as they are applied. What
 * goes wrong on the way gives the new generation up, and the old one lives on.
 */
export class Rebuilder {
  readonly #deps: RebuilderDependencies;

  constructor(deps: RebuilderDependencies) {
    this.#deps = deps;
  }

  /** Answers how many events were counted from the lake. */
  async run(request: RebuildRequest, onProgress: (progress: RebuildProgress) => void): Promise<number> {
    const { registry, partitions, client } = this.#deps;
    const live = (await registry.refresh()).get(request.counter);
    const left = registry.current.staged.find(({ name }) => name === live.name);
    if (left) await registry.giveUpStaged(left);
    const staged = await registry.stage(live);
    try {
      const events = await this.#fill(staged, spanOf(live, request), onProgress);
      await registry.promote(staged, live);
      for (const partition of partitions) await forgetSeam(client, partition, staged.generation);
      return events;
    } catch (error) {
      // Whoever comes next does it otherwise, and until then it only counts along.
      await registry.giveUpStaged(staged).catch(() => undefined);
      throw error;
    }
  }

  async #fill(staged: Counter, span: LakeSpan, onProgress: (progress: RebuildProgress) => void): Promise<number> {
    const { store, partitions } = this.#deps;
    onProgress({ state: "waiting", read: 0, all: 0, events: 0 });
    const seams = await Promise.all(partitions.map((partition) => this.#begin(partition, staged)));
    await Promise.all(partitions.map((partition, p) => this.#awaitArchive(partition, seams[p] as Seam)));
    const counting = new LakeCounting({ ...this.#deps, staged });
    const includes = ({ partition, arrived, sequence }: LakeRow) =>
      seams[partition]?.isBefore(`${arrived}-${sequence}`) ?? false;
    const onSegment = (read: number, all: number) => {
      onProgress({ state: "counting", read, all, events: counting.events });
    };
    for await (const rows of readDistinct({ store, span, includes, onSegment })) {
      for (let from = 0; from < rows.length; from += BATCH_EVENTS_MAX) {
        await counting.count(rows.slice(from, from + BATCH_EVENTS_MAX));
      }
    }
    return counting.events;
  }

  async #begin(partition: PartitionKeys, { generation }: Counter): Promise<Seam> {
    const { client, scripts } = this.#deps;
    for (let attempt = 0; attempt < SEAM_TRIES; attempt++) {
      const seam = await beginSeam(client, scripts, partition, generation);
      if (seam) return seam;
      await delay(PAUSE_MS);
    }
    throw new Error(`partition ${partition.partition} has no worker, or does not get on`);
  }

  /** Until everything before the seam is in the lake. */
  async #awaitArchive(partition: PartitionKeys, { bound }: Seam): Promise<void> {
    const { client } = this.#deps;
    for (;;) {
      if (!(await isArchiving(client, partition))) throw new Error("archiving is not on");
      const oldest = await oldestUnarchived(client, partition);
      if (oldest === null || compareEntryIds(oldest, bound) >= 0) return;
      await delay(PAUSE_MS);
    }
  }
}

function spanOf(counter: Counter, { from, to }: RebuildRequest): LakeSpan {
  const { ms } = widestOf(counter);
  return {
    from: from === undefined ? 0 : bucketStart(from, ms),
    to: to === undefined ? Number.POSITIVE_INFINITY : bucketCeil(to, ms),
  };
}
