import { randomUUID } from "node:crypto";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { pause } from "../pause.ts";
import type { RedisClient } from "../redis/client.ts";
import { holdArchive, isArchiving, joinArchive } from "../redis/commands/lake.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { PartitionArchiver, type RoundOutcome } from "./archiver.ts";
import type { LakeStore } from "./store.ts";

/** How long an event waits for others of its segment, ms. */
const WAIT_MS = 10_000;
/**
 * How long the right to archive a partition outlives its holder's last round, ms. Longer than a round takes, and when it is
 * not, two write the same: nothing is lost.
 */
const LEASE_MS = 30_000;
/** Between two tries to take a partition that somebody else archives, ms. */
const STANDBY_MS = 1_000;
/** Between two looks for entries while there are none, ms. */
const POLL_MS = 500;
/** After a failure, ms: at first, and at most. */
const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 10_000;

export interface ArchiversDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly store: LakeStore;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly waitMs?: number;
}

/**
 * Archives as many partitions as it can get, and stands by for the others.
 *
 * Modes of a partition here: standby → archiving → standby …, and for ever `off` once archiving was ended.
 */
export class Archivers {
  readonly #deps: ArchiversDependencies;
  readonly #token = randomUUID();
  readonly #stopping = new AbortController();
  readonly #failures = new Map<PartitionKeys, Error>();
  readonly #loops: Promise<void>[] = [];

  constructor(deps: ArchiversDependencies) {
    this.#deps = deps;
  }

  /** Puts archiving in force for all partitions before anything is read. */
  async start(): Promise<void> {
    for (const partition of this.#deps.partitions) await this.#join(partition);
    for (const partition of this.#deps.partitions) this.#loops.push(this.#partitionLoop(partition));
  }

  /** Why it does not get on just now; `null` when it does. */
  get failure(): Error | null {
    const [first] = this.#failures.values();
    return first ?? null;
  }

  async #join(partition: PartitionKeys): Promise<void> {
    const { client, scripts, log } = this.#deps;
    if (!(await joinArchive(client, scripts, partition))) return;
    log.error(
      { partition: partition.partition },
      "ALARM: the archive's group was missing; its events may be missing, too",
    );
  }

  async #partitionLoop(partition: PartitionKeys): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const outcome = await this.#archive(partition).catch((error: Error) => this.#tell(partition, error));
      if (outcome === "off") {
        const { log } = this.#deps;
        return log.warn({ partition: partition.partition }, "archiving was ended; start again to go on with it");
      }
      await pause(STANDBY_MS, this.#stopping.signal);
    }
  }

  /** For as long as the partition is ours. */
  async #archive(partition: PartitionKeys): Promise<"lost" | "off"> {
    if (!(await this.#hold(partition, LEASE_MS))) return "lost";
    const waitMs = this.#deps.waitMs ?? WAIT_MS;
    const archiver = new PartitionArchiver({ ...this.#deps, partition, token: this.#token, waitMs });
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      try {
        const outcome = await this.#round(partition, archiver);
        failures = 0;
        this.#failures.delete(partition);
        if (outcome === "lost" || outcome === "off") return outcome;
        if (outcome === "idle") await pause(POLL_MS, this.#stopping.signal);
      } catch (error) {
        this.#tell(partition, error as Error);
        await pause(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures++), this.#stopping.signal);
      }
    }
    await archiver.round(true);
    await this.#hold(partition, 0);
    return "lost";
  }

  async #round(partition: PartitionKeys, archiver: PartitionArchiver): Promise<RoundOutcome> {
    if (!(await this.#hold(partition, LEASE_MS))) return "lost";
    try {
      return await archiver.round();
    } catch (error) {
      if (!(error as Error).message.startsWith("NOGROUP")) throw error;
      if (!(await isArchiving(this.#deps.client, partition))) return "off";
      await this.#join(partition);
      return "more";
    }
  }

  #hold(partition: PartitionKeys, ms: number): Promise<boolean> {
    const { client, scripts } = this.#deps;
    return holdArchive(client, scripts, partition, this.#token, ms);
  }

  /** A failure that stays is told once. */
  #tell(partition: PartitionKeys, error: Error): void {
    const { metrics, log } = this.#deps;
    metrics.archiveFailures.inc();
    if (this.#failures.get(partition)?.message !== error.message) {
      log.warn({ err: error, partition: partition.partition }, "cannot archive; trying again");
    }
    this.#failures.set(partition, error);
  }

  /** Writes what is in hand and gives the partitions back. Never throws: what is left stays pending. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled(this.#loops);
  }
}
