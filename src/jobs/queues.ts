import { type Job, Queue, Worker } from "bullmq";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Connections, RedisClient } from "../redis/client.ts";
import { JOBS_PREFIX } from "../redis/keys.ts";
import { LAKE, type LakeWork, runLakeJob, TIDY } from "./lake.ts";
import type { Work } from "./work.ts";

/** What there is to do; each has a queue of its own, so that one that waits holds no other up. */
export const JOBS = ["close", "export", "forget", "compact"] as const;
/** `lake` only where there is one. */
export type JobName = (typeof JOBS)[number] | typeof LAKE;

interface PartitionJob {
  readonly partition?: number;
}

const CLOSE_EVERY_MS = 1_000;
const COMPACT_EVERY_MS = 60_000;
const TIDY_EVERY_MS = 600_000;
/** Schedules are put again so often, in case somebody has emptied BullMQ's keys. */
const RESCHEDULE_MS = 10_000;
/** Partitions exported at the same time by one process. */
const CONCURRENCY = 2;

const JOB_OPTIONS = {
  attempts: 5,
  backoff: { type: "exponential", delay: 1_000, jitter: 0.5 },
  removeOnComplete: { count: 100 },
  removeOnFail: { count: 500 },
} as const;

/** A worker that has not renewed its lock for so long is taken for dead, and its job given to another, ms. */
const LOCK_MS = 10_000;
const STALLED_EVERY_MS = 5_000;
/** Dying with a job is no fault of the job. */
const STALLED_MAX = 1_000_000;
/** The most that a job which nobody finishes keeps others like it away, ms. */
const ONE_AT_A_TIME_MS = 60_000;

export interface JobsDependencies {
  readonly connections: Connections;
  readonly work: Work;
  /** `null`: there is no lake. */
  readonly lake: LakeWork | null;
  readonly metrics: Metrics;
  readonly log: Logger;
}

function namesOf({ lake }: JobsDependencies): readonly JobName[] {
  return lake ? [...JOBS, LAKE] : JOBS;
}

/**
 * BullMQ only says "look for what is due": all state is in the data. `close` finds partitions with something to export
 * and asks for their `export`, which asks for their `forget`; `compact` runs once a minute, `tidy` every ten; `rebuild`
 * is asked for by somebody, and shares a queue with `tidy`.
 */
export class Jobs {
  readonly #deps: JobsDependencies;
  readonly #clients: RedisClient[];
  readonly #queues: Readonly<Partial<Record<typeof LAKE, Queue>> & Record<(typeof JOBS)[number], Queue<PartitionJob>>>;
  readonly #workers: readonly Worker<PartitionJob>[];
  readonly #timer: NodeJS.Timeout;

  private constructor(deps: JobsDependencies, clients: RedisClient[], blocking: readonly RedisClient[]) {
    this.#deps = deps;
    this.#clients = clients;
    const [client] = clients as [RedisClient];
    const options = { connection: client, prefix: JOBS_PREFIX, defaultJobOptions: JOB_OPTIONS };
    const names = namesOf(deps);
    this.#queues = Object.fromEntries(names.map((name) => [name, new Queue(name, options)])) as Record<
      JobName,
      Queue<PartitionJob>
    >;
    this.#workers = names.map((name, i) => {
      const connection = blocking[i] as RedisClient;
      const worker = new Worker<PartitionJob>(name, (job) => this.#measured(name, job), {
        connection,
        prefix: JOBS_PREFIX,
        concurrency: name === "export" ? CONCURRENCY : 1,
        lockDuration: LOCK_MS,
        stalledInterval: STALLED_EVERY_MS,
        maxStalledCount: STALLED_MAX,
      });
      worker.on("error", (error) => deps.log.debug({ err: error, queue: name }, "queue"));
      worker.on("failed", (_, error) => this.#told(name, error));
      return worker;
    });
    for (const queue of this.queues) queue.on("error", (error) => deps.log.debug({ err: error }, "queue"));
    this.#timer = setInterval(() => this.#schedule().catch(() => undefined), RESCHEDULE_MS);
  }

  static async start(deps: JobsDependencies): Promise<Jobs> {
    const clients = await Promise.all([undefined, ...namesOf(deps)].map(() => deps.connections.open("queue")));
    const jobs = new Jobs(deps, clients, clients.slice(1));
    await jobs.#schedule();
    return jobs;
  }

  get queues(): readonly Queue[] {
    return Object.values(this.#queues);
  }

  async #schedule(): Promise<void> {
    const { close, compact, lake } = this.#queues;
    await close.upsertJobScheduler("close", { every: CLOSE_EVERY_MS }, { name: "close", opts: { attempts: 1 } });
    await compact.upsertJobScheduler("compact", { every: COMPACT_EVERY_MS }, { name: "compact", opts: JOB_OPTIONS });
    await lake?.setGlobalConcurrency(1);
    await lake?.upsertJobScheduler(TIDY, { every: TIDY_EVERY_MS }, { name: TIDY, opts: JOB_OPTIONS });
  }

  async #measured(name: JobName, job: Job): Promise<unknown> {
    const { jobSeconds, jobRetries } = this.#deps.metrics;
    if (job.attemptsMade > 0) jobRetries.inc({ queue: name });
    const stop = jobSeconds.startTimer({ queue: name });
    return this.#run(name, job).finally(stop);
  }

  async #run(name: JobName, job: Job): Promise<unknown> {
    const { work, lake } = this.#deps;
    if (name === LAKE) return lake && runLakeJob(lake, job);
    if (name === "compact") return work.compactAll();
    if (name === "close") {
      for (const due of await work.findDue()) await this.#ask("export", due);
      return;
    }
    const { partition } = job.data as PartitionJob;
    if (partition === undefined) return;
    if (name === "forget") return work.forgetPartition(partition);
    await work.exportPartition(partition);
    await this.#ask("forget", partition);
  }

  /** One job a partition at a time: a second one would find nothing more to do. */
  async #ask(name: "export" | "forget", partition: number): Promise<void> {
    const jobId = `${name}-${partition}-${Math.floor(Date.now() / ONE_AT_A_TIME_MS)}`;
    await this.#queues[name].add(name, { partition }, { jobId, removeOnComplete: true });
  }

  #told(name: JobName, error: Error): void {
    this.#deps.metrics.jobFailures.inc({ queue: name });
    this.#deps.log.warn({ err: error, job: name }, "a job failed; it is tried again");
  }

  /** Waits for the jobs under way, then closes everything. Without Redis there is nothing to wait for. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const isGone = this.#clients[0]?.status !== "ready";
    if (isGone) for (const client of this.#clients) this.#deps.connections.close(client);
    await Promise.allSettled(this.#workers.map((worker) => worker.close(isGone)));
    await Promise.allSettled(this.queues.map((queue) => queue.close()));
    for (const client of this.#clients) this.#deps.connections.close(client);
  }
}
