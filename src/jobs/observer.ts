import type { Queue } from "bullmq";
import type { Database } from "../cold/database.ts";
import { sizesOfTables } from "../cold/sizes.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { pause } from "../pause.ts";
import type { RedisClient } from "../redis/client.ts";
import { countAdmitted } from "../redis/commands/admit.ts";
import { readArchiveBacklog } from "../redis/commands/lake.ts";
import { KEY_KINDS, type PartitionKeys } from "../redis/keys.ts";
import { surveyMemory } from "../redis/survey.ts";
import type { Work } from "./work.ts";

const LOOK_MS = 15_000;
/** Between two passes over all keys of Redis, ms. */
const SURVEY_REST_MS = 60_000;
const STATES = ["waiting", "active", "delayed", "failed"] as const;

export interface ObserverDependencies {
  readonly client: RedisClient;
  readonly partitions: readonly PartitionKeys[];
  readonly cold: Database;
  readonly registry: CounterRegistry;
  readonly queues: readonly Queue[];
  readonly work: Work;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/**
 * Measures the whole deployment, in each process with the role `jobs`: what only the process that happens to run a job
 * told would stay at its last value in the others.
 */
export class Observer {
  readonly #deps: ObserverDependencies;
  readonly #stopping = new AbortController();
  readonly #loops: readonly Promise<void>[];

  private constructor(deps: ObserverDependencies) {
    this.#deps = deps;
    const { work } = deps;
    this.#loops = [
      this.#every(LOOK_MS, () => work.findDue()),
      this.#every(LOOK_MS, () => this.#lookAtQueues()),
      this.#every(LOOK_MS, () => this.#lookAtKeys()),
      this.#every(LOOK_MS, () => this.#lookAtColdStorage()),
      this.#every(LOOK_MS, () => this.#lookAtArchive()),
      this.#every(SURVEY_REST_MS, () => this.#survey()),
    ];
  }

  static start(deps: ObserverDependencies): Observer {
    return new Observer(deps);
  }

  async #every(ms: number, look: () => Promise<unknown>): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      // What cannot be asked is said by the metrics that tell so, and by whoever needs it for more.
      await look().catch((error) => signal.aborted || this.#deps.log.debug({ err: error }, "cannot observe"));
      await pause(ms, signal);
    }
  }

  async #lookAtQueues(): Promise<void> {
    for (const queue of this.#deps.queues) {
      const counts = await queue.getJobCounts(...STATES);
      for (const state of STATES) this.#deps.metrics.jobsQueued.set({ queue: queue.name, state }, counts[state] ?? 0);
    }
  }

  async #lookAtKeys(): Promise<void> {
    const { client, registry, metrics } = this.#deps;
    const counters = registry.current.counters.filter(({ by }) => by.length > 0);
    const admitted = await Promise.all(counters.map((counter) => countAdmitted(client, counter)));
    metrics.keysShare.reset();
    for (const [i, { name, keysMax }] of counters.entries()) {
      metrics.keysShare.set({ counter: name }, (admitted[i] as number) / keysMax);
    }
  }

  async #lookAtColdStorage(): Promise<void> {
    const { cold, metrics } = this.#deps;
    if (!cold.isAtHand) return;
    try {
      for (const { table, bytes } of await sizesOfTables(cold)) metrics.coldBytes.set({ table }, bytes);
    } finally {
      metrics.coldUnavailable.set(cold.failure === null ? 0 : 1);
    }
  }

  async #lookAtArchive(): Promise<void> {
    const { client, partitions, metrics } = this.#deps;
    const backlogs = await Promise.all(partitions.map((keys) => readArchiveBacklog(client, keys)));
    metrics.archiveLag.set(Math.max(0, ...backlogs.map((backlog) => backlog?.lagMs ?? 0)) / 1_000);
    for (const [partition, backlog] of backlogs.entries()) {
      if (backlog === null) {
        for (const gauge of [metrics.archiveWaiting, metrics.archiveKept]) gauge.remove({ partition });
        continue;
      }
      metrics.archiveWaiting.set({ partition }, backlog.entries);
      metrics.archiveKept.set({ partition }, backlog.kept);
    }
  }

  async #survey(): Promise<void> {
    const { client, metrics } = this.#deps;
    const holdings = await surveyMemory(client, this.#stopping.signal);
    for (const kind of KEY_KINDS) {
      metrics.redisKeys.set({ kind }, holdings[kind].keys);
      metrics.redisKindBytes.set({ kind }, holdings[kind].bytes);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled(this.#loops);
  }
}
