import { type Job, Queue } from "bullmq";
import type { Counter } from "../core/counter.ts";
import { Problem } from "../core/problem.ts";
import type { Rebuilder, RebuildProgress, RebuildRequest } from "../lake/rebuild.ts";
import type { LakeTidier } from "../lake/tidy.ts";
import type { RedisClient } from "../redis/client.ts";
import { JOBS_PREFIX } from "../redis/keys.ts";

/** One queue for all that is done to a lake: what merges segments must not take them from under what reads them. */
export const LAKE = "lake";
export const TIDY = "tidy";
const REBUILD = "rebuild";

/** A rebuild that fails begins anew: nothing of it is left. */
const REBUILD_OPTIONS = { attempts: 3, backoff: { type: "exponential", delay: 2_000 } } as const;
/** A running rebuild's process that has ended is noticed after its job's lock has run out, and another begins anew. */
const UNFINISHED = new Set(["waiting", "active", "delayed", "prioritized"]);

export type LakeJob = Job<RebuildRequest, number, string>;

export interface LakeWork {
  readonly tidier: LakeTidier;
  readonly rebuilder: Rebuilder;
}

/** Runs a job of the queue. */
export async function runLakeJob({ tidier, rebuilder }: LakeWork, job: LakeJob): Promise<number> {
  if (job.name === TIDY) return tidier.run(Date.now()).then(() => 0);
  let told = performance.now();
  return rebuilder.run(job.data, (progress) => {
    const now = performance.now();
    if (progress.read < progress.all && now - told < PROGRESS_EVERY_MS) return;
    told = now;
    // A progress that is not told holds nothing up.
    job.updateProgress({ ...progress }).catch(() => undefined);
  });
}

const PROGRESS_EVERY_MS = 500;

export interface RebuildStatus extends Omit<RebuildProgress, "state"> {
  readonly counter: string;
  readonly state: "queued" | RebuildProgress["state"] | "done" | "failed";
  /** Why it failed; `null`: it did not. */
  readonly reason: string | null;
}

/** Asks for rebuilds, and says how they are doing. */
export class Rebuilds {
  readonly #queue: Queue<RebuildRequest>;

  constructor(connection: RedisClient) {
    this.#queue = new Queue(LAKE, { connection, prefix: JOBS_PREFIX });
    this.#queue.on("error", () => undefined);
  }

  /** Throws a Problem `counter_conflict` while one of the counter is under way. */
  async ask(counter: Counter, span: Omit<RebuildRequest, "counter">): Promise<RebuildStatus> {
    const { name } = counter;
    const before = await this.#queue.getJob(idOf(name));
    if (before) {
      if (UNFINISHED.has(await before.getState())) {
        throw new Problem("counter_conflict", `the counter "${name}" is being rebuilt already`);
      }
      await before.remove();
    }
    await this.#queue.add(REBUILD, { counter: name, ...span }, { ...REBUILD_OPTIONS, jobId: idOf(name) });
    return this.read(name);
  }

  /** Of the counter's last rebuild; throws a Problem `not_found` where there was none. */
  async read(counter: string): Promise<RebuildStatus> {
    const job = await this.#queue.getJob(idOf(counter));
    if (!job) throw new Problem("not_found", `the counter "${counter}" was not rebuilt lately`);
    const state = await job.getState();
    const progress = isProgress(job.progress)
      ? job.progress
      : { state: "waiting" as const, read: 0, all: 0, events: 0 };
    const base = { counter, ...progress, reason: null };
    if (state === "completed") return { ...base, state: "done", events: job.returnvalue };
    if (state === "failed") return { ...base, state: "failed", reason: job.failedReason };
    return { ...base, state: state === "active" ? progress.state : "queued" };
  }

  async close(): Promise<void> {
    await this.#queue.close();
  }
}

const idOf = (counter: string) => `${REBUILD}-${counter}`;

function isProgress(progress: unknown): progress is RebuildProgress {
  return typeof progress === "object" && progress !== null && "events" in progress;
}
