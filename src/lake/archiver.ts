import { ENTRY_EVENTS_MAX } from "../core/limits.ts";
import type { Metrics } from "../metrics.ts";
import type { RedisClient } from "../redis/client.ts";
import { acknowledgeArchived } from "../redis/commands/lake.ts";
import { ARCHIVE_GROUP, type PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { ReadCount, type ReceivedEntry, readAlong } from "../stream/entries.ts";
import { LakeBatch } from "./batch.ts";
import type { LakeStore } from "./store.ts";

/** About as many events one read is to bring. */
const READ_EVENTS = 5 * ENTRY_EVENTS_MAX;
/** Behind this id is everything. */
const START = "0";

export interface ArchiverDependencies {
  readonly partition: PartitionKeys;
  readonly token: string;
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly store: LakeStore;
  readonly metrics: Metrics;
  /** How long an event waits for others of its segment, ms. */
  readonly waitMs: number;
}

/** `more`: there may be more to read at once. `lost`, `off`: see AcknowledgeOutcome. */
export type RoundOutcome = "more" | "idle" | "lost" | "off";

/**
 * Archives one partition, a round at a time. A round that throws is made again and goes on where it was: what is
 * published is not published twice, and what was read stays in hand.
 */
export class PartitionArchiver {
  readonly #deps: ArchiverDependencies;
  #batch: LakeBatch;
  /** Entries that are published and may not be acknowledged yet. */
  #published: readonly string[] = [];
  /** There may be pending entries that are not in hand. */
  #lookBack = true;
  readonly #readCount = new ReadCount(READ_EVENTS);

  constructor(deps: ArchiverDependencies) {
    this.#deps = deps;
    this.#batch = new LakeBatch(deps.partition.partition);
  }

  /** @param everything writes what is in hand, due or not */
  async round(everything = false): Promise<RoundOutcome> {
    const acknowledged = await this.#acknowledge();
    if (acknowledged !== "ok") return acknowledged;
    const { waitMs } = this.#deps;
    const entries = this.#batch.isDue(performance.now(), waitMs) ? [] : await this.#read();
    this.#batch.add(entries, performance.now());
    if (this.#batch.isDue(performance.now(), everything ? 0 : waitMs)) {
      await this.#publish();
      const outcome = await this.#acknowledge();
      if (outcome !== "ok") return outcome;
    }
    return entries.length > 0 ? "more" : "idle";
  }

  async #publish(): Promise<void> {
    const { store, metrics } = this.#deps;
    await this.#batch.publish(store, ({ rows, bytes }) => {
      metrics.archivedEvents.inc(rows);
      metrics.archivedSegments.inc();
      metrics.archivedBytes.inc(bytes);
    });
    this.#published = this.#batch.ids;
    this.#batch = new LakeBatch(this.#deps.partition.partition);
    this.#lookBack = true;
  }

  async #acknowledge(): Promise<"ok" | "lost" | "off"> {
    if (this.#published.length === 0) return "ok";
    const { client, scripts, partition, token } = this.#deps;
    const outcome = await acknowledgeArchived(client, scripts, partition, token, this.#published);
    if (outcome === "ok") this.#published = [];
    return outcome;
  }

  /** First what is pending and not in hand: a predecessor's, or what a read has brought whose reply was lost. */
  async #read(): Promise<readonly ReceivedEntry[]> {
    if (this.#lookBack) {
      const pending = await this.#readFrom(this.#batch.ids.at(-1) ?? START);
      if (pending.length > 0) return pending;
    }
    this.#lookBack = true;
    const entries = await this.#readFrom(">");
    this.#lookBack = entries.length === 0;
    return entries;
  }

  async #readFrom(after: string): Promise<readonly ReceivedEntry[]> {
    const { client, partition } = this.#deps;
    const entries = await readAlong(client, partition, ARCHIVE_GROUP, after, this.#readCount.entries);
    this.#readCount.learn(entries);
    return entries;
  }
}
