import { randomUUID } from "node:crypto";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Logger } from "../log.ts";
import { pause } from "../pause.ts";
import type { Connections, RedisClient } from "../redis/client.ts";
import { acquireLease, releaseLease, type TickingCounter, tick } from "../redis/commands/lease.ts";
import { isFatalReply } from "../redis/failures.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { DefinitionsSetBack, LeaseLost } from "./applier.ts";
import { tickingCounters } from "./floors.ts";
import type { StreamMetrics } from "./metrics.ts";
import { PartitionOwner } from "./owner.ts";

const TICK_MS = 1_000;
/** Between two tries to take a partition that somebody else owns, ms. */
const STANDBY_MS = 1_000;
/** After a failed connection, ms. */
const RETRY_MS = 250;

export interface WorkersDependencies {
  readonly connections: Connections;
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly registry: CounterRegistry;
  readonly dedupeHorizonMs: number;
  readonly metrics: StreamMetrics;
  readonly log: Logger;
}

/**
 * Owns as many partitions as it can get, and stands by for the others.
 *
 * Modes of a partition here: standby → owning → standby …, and for ever `stopped` after an error in data or scripts.
 */
export class Workers {
  readonly #deps: WorkersDependencies;
  readonly #token = randomUUID();
  readonly #stopping = new AbortController();
  /** Of the partitions that are owned now: how to end the ownership. */
  readonly #owned = new Map<PartitionKeys, AbortController>();
  readonly #blocking = new Set<RedisClient>();
  /** Partitions with a heartbeat under way. */
  readonly #ticking = new Set<PartitionKeys>();
  /** Entries missing as last told, so that an alarm is raised once and not every second. */
  readonly #missing = new Map<PartitionKeys, number>();
  readonly #loops: Promise<void>[] = [];
  #stopped = 0;

  constructor(deps: WorkersDependencies) {
    this.#deps = deps;
  }

  start(): void {
    for (const partition of this.#deps.partitions) this.#loops.push(this.#partitionLoop(partition));
    this.#loops.push(this.#tickLoop());
  }

  /** Partitions stopped by an error that needs a person. */
  get stoppedPartitions(): number {
    return this.#stopped;
  }

  async #partitionLoop(partition: PartitionKeys): Promise<void> {
    const log = this.#deps.log.child({ partition: partition.partition });
    while (!this.#stopping.signal.aborted) {
      try {
        if (await acquireLease(this.#deps.client, this.#deps.scripts, partition, this.#token))
          await this.#own(partition);
        else await pause(STANDBY_MS, this.#stopping.signal);
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        if (isFatalReply(error) || error instanceof DefinitionsSetBack) return this.#stopForGood(partition, log, error);
        if (error instanceof LeaseLost) log.warn("lost the lease; standing by");
        else log.warn({ err: error }, "cannot go on with the partition; trying again");
        await pause(RETRY_MS, this.#stopping.signal);
      }
    }
  }

  /** Something is wrong with the data or a script: going on could count wrongly, so nothing is guessed. */
  #stopForGood(partition: PartitionKeys, log: Logger, error: unknown): void {
    this.#stopped++;
    this.#deps.metrics.partitionsStopped.set(this.#stopped);
    log.fatal({ err: error, stream: partition.stream }, "ALARM: the partition is stopped until the cause is removed");
  }

  async #own(partition: PartitionKeys): Promise<void> {
    const ownership = new AbortController();
    const blocking = await this.#deps.connections.open("blocking");
    this.#owned.set(partition, ownership);
    this.#blocking.add(blocking);
    this.#deps.metrics.partitionsOwned.set(this.#owned.size);
    try {
      const owner = await PartitionOwner.takeOver({ ...this.#deps, partition, blocking, token: this.#token });
      await owner.run(AbortSignal.any([ownership.signal, this.#stopping.signal]));
      if (ownership.signal.aborted) throw new LeaseLost();
    } finally {
      this.#owned.delete(partition);
      this.#blocking.delete(blocking);
      this.#deps.connections.close(blocking);
      this.#deps.metrics.partitionsOwned.set(this.#owned.size);
      // Its new owner tells them now; a value that stayed would raise alarms for ever.
      for (const gauge of [this.#deps.metrics.waiting, this.#deps.metrics.missing]) gauge.remove(labelsOf(partition));
    }
  }

  async #tickLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (this.#owned.size > 0) await this.#tickAll();
      await pause(TICK_MS, this.#stopping.signal);
    }
  }

  /** Does not wait for the heartbeats: a node that does not answer would hold those of the others' partitions up. */
  async #tickAll(): Promise<void> {
    const { client, partitions, registry, log } = this.#deps;
    const counters = await tickingCounters(client, partitions, registry.current.counters);
    for (const [partition, ownership] of this.#owned) {
      if (this.#ticking.has(partition)) continue;
      this.#ticking.add(partition);
      this.#tick(partition, ownership, counters)
        .catch((error) => log.warn({ err: error, partition: partition.partition }, "cannot tick"))
        .finally(() => this.#ticking.delete(partition));
    }
  }

  async #tick(
    partition: PartitionKeys,
    ownership: AbortController,
    counters: readonly TickingCounter[],
  ): Promise<void> {
    const { client, scripts, metrics, log } = this.#deps;
    const outcome = await tick(client, scripts, partition, this.#token, counters);
    if (outcome.kind === "lost") return ownership.abort();
    if (this.#owned.get(partition) !== ownership) return;
    const labels = labelsOf(partition);
    metrics.waiting.set(labels, outcome.waiting);
    metrics.missing.set(labels, outcome.missing);
    const told = this.#missing.get(partition) ?? 0;
    this.#missing.set(partition, outcome.missing);
    if (outcome.missing !== told)
      log.error({ ...labels, missing: outcome.missing }, "ALARM: stream entries are missing");
  }

  /** Reads nothing new, finishes the batches under way, gives the leases back. Never throws. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // A read that waits for entries would hold the loop up; what it may still bring stays pending.
    for (const blocking of this.#blocking) blocking.disconnect();
    await Promise.allSettled(this.#loops);
    const { client, scripts, partitions } = this.#deps;
    await Promise.allSettled(partitions.map((partition) => releaseLease(client, scripts, partition, this.#token)));
  }
}

const labelsOf = ({ partition }: PartitionKeys) => ({ partition: String(partition) });
