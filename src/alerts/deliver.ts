import { DelayedError, type Job, Queue, Worker } from "bullmq";
import { pipelined } from "../buckets/pipeline.ts";
import { formatTime } from "../core/time.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Connections, RedisClient } from "../redis/client.ts";
import {
  dropFromOutbox,
  type Outgoing,
  readOutbox,
  readWaiting,
  settle,
  type WaitingJob,
} from "../redis/commands/alerts.ts";
import { JOBS_PREFIX } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { type Delivery, parseJobId } from "./delivery.ts";
import { disableWebhook } from "./edit.ts";
import type { AlertEvent } from "./event.ts";
import { findEntry } from "./history.ts";
import type { Rule, Webhook } from "./rule.ts";
import { Slots } from "./slots.ts";
import { findRule, firstWaiting } from "./store.ts";
import type { Attempt, WebhookSender } from "./webhook.ts";

/** Waits between attempts, ms: the schedule that the Standard Webhooks specification gives. */
const RETRY_MS = [5e3, 300e3, 1_800e3, 7_200e3, 18_000e3, 36_000e3, 50_400e3, 72_000e3, 86_400e3] as const;
/** Each wait is up to so much longer, at random, so that a receiver that comes back is not met by all at once. */
const JITTER = 0.2;
const RETRY_AFTER_MAX_MS = 86_400_000;

/** Messages on their way at the same time from this process, and of those to one endpoint. */
const CONCURRENCY = 256;
const PER_ENDPOINT = 16;
/** How long one waits whose endpoint is taken, or for a job that was made anew, ms. */
const BUSY_MS = 1_000;
/** How long one waits for those before it unless it is told that it may go, ms. */
const TURN_MS = 30_000;
/** Entries of the outbox that become jobs in one go. */
const RELAYED_AT_ONCE = 100;

/** A worker that has not renewed its lock for so long is taken for dead, and its job given to another, ms. */
const LOCK_MS = 10_000;
const STALLED_EVERY_MS = 5_000;
/** Dying with a job is no fault of the job. */
const STALLED_MAX = 1_000_000;

const JOB_OPTIONS = {
  attempts: RETRY_MS.length + 1,
  backoff: { type: "custom" },
  // How it went is in the rule's history; a job that stayed would keep one of the same id away.
  removeOnComplete: true,
  removeOnFail: true,
} as const;

type DeliverJob = Pick<Outgoing, "rule" | "instance" | "event">;

class DeliveryFailed extends Error {
  override readonly name = "DeliveryFailed";
  readonly retryAfterMs: number;

  constructor({ detail, retryAfterMs = 0 }: Exclude<Attempt, { kind: "delivered" }>) {
    super(detail);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface DeliveriesDependencies {
  readonly connections: Connections;
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly sender: WebhookSender;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** First wait of the schedule, for tests; absent: as specified. */
  readonly retryMs?: readonly number[];
}

/**
 * Delivers events by BullMQ jobs, which carry no secret. The events of one instance go in order: a job whose
 * predecessor is neither delivered nor given up waits, so no resolve overtakes its firing.
 */
export class Deliveries {
  readonly #deps: DeliveriesDependencies;
  readonly #retryMs: readonly number[];
  readonly #clients: readonly RedisClient[];
  readonly #worker: Worker<DeliverJob>;
  readonly #slots = new Slots(PER_ENDPOINT);
  readonly #stopping = new AbortController();
  readonly queue: Queue<DeliverJob>;

  private constructor(deps: DeliveriesDependencies, [client, blocking]: readonly [RedisClient, RedisClient]) {
    this.#deps = deps;
    this.#retryMs = deps.retryMs ?? RETRY_MS;
    this.#clients = [client, blocking];
    this.queue = new Queue("deliver", {
      connection: client,
      prefix: JOBS_PREFIX,
      defaultJobOptions: { ...JOB_OPTIONS, attempts: this.#retryMs.length + 1 },
    });
    this.queue.on("error", (error) => deps.log.debug({ err: error }, "queue"));
    this.#worker = new Worker<DeliverJob>("deliver", (job, token) => this.#run(job, token), {
      connection: blocking,
      prefix: JOBS_PREFIX,
      concurrency: CONCURRENCY,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_EVERY_MS,
      maxStalledCount: STALLED_MAX,
      settings: { backoffStrategy: (attempts, _type, error) => this.#wait(attempts, error) },
    });
    this.#worker.on("error", (error) => deps.log.debug({ err: error, queue: "deliver" }, "queue"));
  }

  static async start(deps: DeliveriesDependencies): Promise<Deliveries> {
    const { connections } = deps;
    return new Deliveries(deps, await Promise.all([connections.open("queue"), connections.open("queue")]));
  }

  /** Makes jobs of what lies in the outbox, oldest first. Repeated under the same ids, it makes no second job. */
  async relay(now: number): Promise<void> {
    const { client, metrics } = this.#deps;
    for (;;) {
      const outgoing = await readOutbox(client, RELAYED_AT_ONCE);
      const [oldest] = outgoing;
      metrics.alertOutboxLag.set(oldest ? Math.max(0, now - Number.parseInt(oldest.entry, 10)) / 1_000 : 0);
      if (!oldest) return;
      await this.queue.addBulk(
        outgoing.map(({ job: jobId, rule, instance, event }) => ({
          name: "deliver",
          data: { rule, instance, event },
          opts: { jobId },
        })),
      );
      await dropFromOutbox(
        client,
        outgoing.map(({ entry }) => entry),
      );
    }
  }

  /** Finds events that are the next of their instance and have no job, as when BullMQ's keys are lost. */
  async sweep(): Promise<void> {
    const { client } = this.#deps;
    for await (const first of firstWaiting(client)) {
      const found = await pipelined(
        client,
        first.map(({ job }) => ["exists", this.queue.toKey(job)]),
      );
      for (const waiting of first.filter((_, i) => found[i] === 0)) await this.#restore(waiting);
    }
  }

  /**
   * Makes a job anew. Should it be made just now, from the outbox, there is one of its id all the same; and should it be
   * done just now, another one would find that it is.
   */
  async #restore(waiting: WaitingJob): Promise<void> {
    const { client, log } = this.#deps;
    const { rule, instance, job } = waiting;
    const entry = await findEntry(client, rule, parseJobId(job).event);
    if (!entry) return this.#settleJob(waiting, { outcome: "dead", detail: "its job was lost" }, true);
    const isNext = (await readWaiting(client, rule, instance))[0] === job;
    if (!isNext) return;
    log.warn({ event: job, alert: rule }, "a delivery had no job; it gets another");
    await this.queue.add("deliver", { rule, instance, event: entry.event }, { jobId: job });
  }

  #wait(attempts: number, error: Error | undefined): number {
    const asked = error instanceof DeliveryFailed ? Math.min(error.retryAfterMs, RETRY_AFTER_MAX_MS) : 0;
    const planned = this.#retryMs[Math.min(attempts, this.#retryMs.length) - 1] ?? 0;
    return Math.round(Math.max(planned, asked) * (1 + JITTER * Math.random()));
  }

  async #run(job: Job<DeliverJob>, token: string | undefined): Promise<void> {
    const { rule: id, instance } = job.data;
    const rule = await findRule(this.#deps.client, id);
    if (!rule) return;
    const waiting = await readWaiting(this.#deps.client, id, instance);
    if (!waiting.includes(job.id as string)) return;
    if (waiting[0] !== job.id) {
      const first = waiting[0] as string;
      const isLost = !(await this.queue.getJob(first));
      if (isLost) await this.#restore({ rule: id, instance, job: first });
      return this.#later(job, token, isLost ? BUSY_MS : TURN_MS);
    }
    const { webhook } = rule;
    if (!webhook) return this.#settle(job, { outcome: "none" }, true);
    if (webhook.disabledAt !== undefined) return this.#giveUp(job, { detail: "the endpoint is disabled" });
    const endpoint = new URL(webhook.url).host;
    if (!this.#slots.take(endpoint)) return this.#later(job, token, BUSY_MS * (1 + Math.random()));
    try {
      await this.#attempt(job, token, rule, webhook);
    } finally {
      this.#slots.give(endpoint);
    }
  }

  async #attempt(job: Job<DeliverJob>, token: string | undefined, rule: Rule, webhook: Webhook): Promise<void> {
    const { metrics, sender } = this.#deps;
    const event = JSON.parse(job.data.event) as AlertEvent;
    const end = metrics.webhookSeconds.startTimer();
    let attempt: Attempt;
    try {
      attempt = await sender.send(webhook, event, Date.now(), this.#stopping.signal);
    } catch {
      return this.#later(job, token, 0); // stopping: another process begins this attempt anew
    }
    end();
    if (attempt.kind === "delivered") {
      metrics.webhookAttempts.inc({ outcome: "delivered" });
      return this.#settle(job, { outcome: "delivered", ...seen(job, attempt) }, true);
    }
    if (attempt.kind === "gone") await disableWebhook(this.#deps, rule.id, webhook.url, Date.now());
    if (attempt.kind === "gone" || job.attemptsMade + 1 >= (job.opts.attempts ?? 1)) {
      return this.#giveUp(job, seen(job, attempt));
    }
    metrics.webhookAttempts.inc({ outcome: "failed" });
    await this.#settle(job, { outcome: "retrying", ...seen(job, attempt) }, false);
    throw new DeliveryFailed(attempt);
  }

  async #giveUp(job: Job<DeliverJob>, seen: Omit<Delivery, "outcome">): Promise<void> {
    this.#deps.metrics.webhookAttempts.inc({ outcome: "dead" });
    this.#deps.log.warn({ event: job.id, alert: job.data.rule, ...seen }, "a webhook was given up");
    await this.#settle(job, { outcome: "dead", ...seen }, true);
  }

  /** Writes down how it went; when the job is done, the next one of the instance may go. */
  async #settle({ id, data }: Job<DeliverJob>, delivery: Delivery, isDone: boolean): Promise<void> {
    await this.#settleJob({ rule: data.rule, instance: data.instance, job: id as string }, delivery, isDone);
  }

  async #settleJob(waiting: WaitingJob, delivery: Delivery, isDone: boolean): Promise<void> {
    const { client, scripts } = this.#deps;
    const { event, resends } = parseJobId(waiting.job);
    const text = JSON.stringify({ ...delivery, ...(resends > 0 && { resends }) } satisfies Delivery);
    const next = await settle(client, scripts, { ...waiting, event, delivery: text, isDone });
    if (next === null) return;
    // It may not be a job yet, or run already; it looks by itself after a while in any case.
    const successor = await this.queue.getJob(next);
    await successor?.promote().catch(() => undefined);
  }

  async #later(job: Job<DeliverJob>, token: string | undefined, ms: number): Promise<never> {
    await job.moveToDelayed(Date.now() + ms, token);
    throw new DelayedError();
  }

  /** Breaks off what is on its way, which is then begun anew, and closes everything. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const isGone = this.#clients[0]?.status !== "ready";
    if (isGone) for (const client of this.#clients) this.#deps.connections.close(client);
    await this.#worker.close(isGone).catch(() => undefined);
    await this.queue.close().catch(() => undefined);
    for (const client of this.#clients) this.#deps.connections.close(client);
  }
}

/** What an attempt showed. */
function seen(job: Job<DeliverJob>, attempt: Attempt): Omit<Delivery, "outcome"> {
  return {
    attempts: job.attemptsMade + 1,
    ...(attempt.status !== undefined && { status: attempt.status }),
    ...("detail" in attempt && { detail: attempt.detail }),
    time: formatTime(Date.now()),
  };
}
