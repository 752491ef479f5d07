import type { TallymarkError } from "./errors.ts";
import type { Http } from "./http.ts";
import { persist, postEvents, rejectedIn } from "./post.ts";
import type { Entry, EventQueue, QueueLimits } from "./queue.ts";
import { Sleeper } from "./sleeper.ts";
import type { EventsAnswer, RejectedEvent, TallymarkEvent } from "./types.ts";

/** Events that will not be counted, unless the service had them all the same where an answer got lost. */
export interface Drop {
  /**
   * `queue_full`: more waits than may. `rejected`: by the service, for the reason in `code`. `gave_up`: no success within
   * `giveUpAfterMs`. `closed`: the client was closed. `unserializable`: no JSON can be made of the event.
   */
  readonly reason: "queue_full" | "rejected" | "gave_up" | "closed" | "unserializable";
  readonly events: readonly TallymarkEvent[];
  /** The rejection's code or the problem's; with `gave_up` that of the last try. */
  readonly code: string;
  readonly detail: string;
}

/** Bodies of requests that outlive their page, https://fetch.spec.whatwg.org: 64 KiB together, others may need some. */
const KEEPALIVE_BYTES_MAX = 60 * 1024;

export interface SenderOptions {
  readonly http: Http;
  readonly queue: EventQueue;
  readonly batch: QueueLimits;
  readonly batchDelayMs: number;
  readonly giveUpAfterMs: number;
  readonly onDrop: (drop: Drop) => void;
}

/**
 * Brings the queue's events to the service, one request after the other, so that they arrive in order; while one is
 * under way, the next batch grows.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #stop = new AbortController();
  readonly #gathering = new Sleeper();
  readonly #backoff = new Sleeper();
  #isRunning = false;
  #isLeaving = false;
  /** How many want everything sent now, and the process to live until it is. */
  #hurried = 0;
  acknowledged = 0;
  retries = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** There is something new in the queue. */
  added(): void {
    if (this.#isFull()) this.#gathering.wake();
    if (!this.#isRunning && !this.#stop.signal.aborted) void this.#run();
  }

  /** Resolves once everything that is in the queue now is acknowledged or dropped. */
  async flush(): Promise<void> {
    this.#hurry(1);
    try {
      await this.#options.queue.whenSettled();
    } finally {
      this.#hurry(-1);
    }
  }

  /** No further try is made. What is left was not acknowledged. */
  stop(): void {
    this.#stop.abort();
    this.#gathering.wake();
  }

  /** Sends what it can in a request that outlives the page. A copy of a request in flight does no harm. */
  leave(): void {
    if (this.#isLeaving) return;
    const entries = this.#options.queue.peek(KEEPALIVE_BYTES_MAX);
    if (entries.length === 0) return;
    this.#isLeaving = true;
    this.#post(entries, true)
      .then(
        (answer) => this.#settle(entries, answer.rejected),
        () => {}, // Whoever still lives sends them again.
      )
      .finally(() => {
        this.#isLeaving = false;
      });
  }

  #hurry(change: 1 | -1): void {
    this.#hurried += change;
    this.#gathering.holds = this.#hurried > 0;
    this.#backoff.holds = this.#hurried > 0;
    if (this.#hurried > 0) this.#gathering.wake();
  }

  #isFull(): boolean {
    const { queue, batch } = this.#options;
    return queue.waiting >= batch.events || queue.waitingBytes >= batch.bytes;
  }

  async #run(): Promise<void> {
    const { queue, batch, batchDelayMs } = this.#options;
    this.#isRunning = true;
    while (queue.waiting > 0 && !this.#stop.signal.aborted) {
      const rest = queue.waitingSince + batchDelayMs - Date.now();
      // Capped, so that a clock that was set back holds up nothing.
      if (rest > 0 && this.#hurried === 0 && !this.#isFull()) await this.#gathering.sleep(Math.min(rest, batchDelayMs));
      if (!this.#stop.signal.aborted) await this.#deliver(queue.take(batch));
    }
    this.#isRunning = false;
  }

  async #deliver(entries: readonly Entry[]): Promise<void> {
    const { giveUpAfterMs } = this.#options;
    const { signal } = this.#stop;
    const now = Date.now();
    const isExpired = ({ triedAt }: Entry) => triedAt !== null && triedAt + giveUpAfterMs <= now;
    this.drop("gave_up", entries.filter(isExpired), "network", "no answer while the page or the machine slept");
    const batch = entries.filter(({ settled }) => !settled);
    let sent = batch;
    const attempt = () => {
      sent = batch.filter(({ settled }) => !settled);
      return sent.length === 0 ? NOTHING_SENT : this.#post(sent, false);
    };
    const firstTry = batch.reduce((first, { triedAt }) => Math.min(first, triedAt ?? first), now);
    const onRetry = () => this.retries++;
    try {
      const giveUpAt = firstTry + giveUpAfterMs;
      const answer = await persist(attempt, { sleeper: this.#backoff, giveUpAt, signal, onRetry });
      this.#settle(sent, answer.rejected);
    } catch (error) {
      if (!signal.aborted) await this.#fail(sent, error as TallymarkError);
    }
  }

  async #fail(sent: readonly Entry[], error: TallymarkError): Promise<void> {
    if (error.retryable) return this.drop("gave_up", sent, error.code, error.message);
    if (error.status === 413 && sent.length > 1) {
      const middle = Math.ceil(sent.length / 2);
      await this.#deliver(sent.slice(0, middle));
      if (!this.#stop.signal.aborted) await this.#deliver(sent.slice(middle));
      return;
    }
    const rejected = rejectedIn(error.problem, sent.length);
    if (rejected.length === 0) return this.drop("rejected", sent, error.code, error.message);
    this.#dropRejected(sent, rejected);
    const rest = sent.filter(({ settled }) => !settled);
    if (rest.length > 0) await this.#deliver(rest);
  }

  #post(entries: readonly Entry[], keepalive: boolean): Promise<EventsAnswer> {
    const now = Date.now();
    for (const entry of entries) entry.triedAt ??= now;
    const texts = entries.map(({ text }) => text);
    return postEvents(this.#options.http, texts, { keepalive, signal: this.#stop.signal });
  }

  #settle(sent: readonly Entry[], rejected: readonly RejectedEvent[]): void {
    this.#dropRejected(sent, rejected);
    for (const entry of sent) if (this.#options.queue.settle(entry)) this.acknowledged++;
  }

  #dropRejected(sent: readonly Entry[], rejected: readonly RejectedEvent[]): void {
    for (const { index, code, detail } of rejected) this.drop("rejected", [sent[index] as Entry], code, detail);
  }

  drop(reason: Drop["reason"], entries: readonly Entry[], code: string, detail: string): void {
    const { queue, onDrop } = this.#options;
    const dropped = entries.filter((entry) => queue.settle(entry));
    if (dropped.length === 0) return;
    onDrop({ reason, events: dropped.map(({ text }) => JSON.parse(text) as TallymarkEvent), code, detail });
  }
}

const NOTHING_SENT = Promise.resolve<EventsAnswer>({ accepted: 0, rejected: [] });
