import { parseRetryAfter, retryDelay } from "../../client/backoff.ts";
import { networkReason } from "../../client/errors.ts";
import { type Answer, readAnswer } from "./answer.ts";
import type { Batch } from "./batches.ts";
import { type CliIo, CommandFailure } from "./io.ts";
import { NOTHING_ACCEPTED, type Outcome, type Tally } from "./tally.ts";

/** Without a success for this long, delivery is given up, ms. */
export const PATIENCE_MS = 10 * 60_000;
/** One request; the service answers within 10 s, and an answer later than this is taken for lost, ms. */
export const REQUEST_TIMEOUT_MS = 30_000;

export interface DeliveryOptions {
  readonly url: string;
  readonly io: CliIo;
  readonly tally: Tally;
  /** Aborted when no further request may be made; one in flight is finished. */
  readonly signal: AbortSignal;
  /** Sentences for the person at the terminal. */
  readonly notice: (sentence: string) => void;
  readonly requestTimeoutMs?: number | undefined;
}

/** Brings batches to the service, trying again with the same ids for as long as there is hope. */
export class Delivery {
  readonly #options: DeliveryOptions;
  /** Since when nothing succeeded, wall time; shared by all requests in flight. */
  #failingSince: number | null = null;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Resolves when the service has answered for every line, or the signal is aborted. Throws a CommandFailure. */
  async deliver(batch: Batch): Promise<void> {
    const { url, tally } = this.#options;
    const answer = await this.#persist(batch);
    if (answer === null) return;
    if (answer.kind === "outcome") return tally.addOutcome(batch, answer.outcome);
    if (answer.kind === "hopeless") throw new CommandFailure(`${url}/v1/events ${answer.reason}`);
    if (batch.length === 1) return tally.addOutcome(batch, tooLarge(answer.detail));
    const middle = Math.ceil(batch.length / 2);
    await this.deliver(batch.slice(0, middle));
    if (!this.#options.signal.aborted) await this.deliver(batch.slice(middle));
  }

  /** The first answer that is not to try again; `null` when the signal is aborted before. */
  async #persist(batch: Batch): Promise<Exclude<Answer, { kind: "retry" }> | null> {
    const { io, signal, tally } = this.#options;
    const body = bodyOf(batch);
    for (let attempt = 1; !signal.aborted; attempt++) {
      if (attempt > 1) tally.retries++;
      const started = io.clock.now();
      const answer = await this.#post(body, batch.length);
      if (answer.kind !== "retry") {
        if (answer.kind !== "hopeless") this.#succeeded();
        return answer;
      }
      const left = this.#failed(started, answer.reason);
      const delay = retryDelay(attempt, parseRetryAfter(answer.retryAfter, io.clock.now()));
      await io.clock.sleep(Math.min(delay, left), signal);
    }
    return null;
  }

  async #post(body: Buffer<ArrayBuffer>, events: number): Promise<Answer> {
    const { url, io, requestTimeoutMs = REQUEST_TIMEOUT_MS } = this.#options;
    try {
      const response = await io.fetch(`${url}/v1/events?wait=applied`, {
        method: "POST",
        headers: { "content-type": "application/x-ndjson" },
        body,
        redirect: "manual",
        signal: AbortSignal.timeout(requestTimeoutMs),
      });
      return await readAnswer(response, events);
    } catch (error) {
      return { kind: "retry", reason: `cannot be reached (${networkReason(error)})`, retryAfter: null };
    }
  }

  #succeeded(): void {
    if (this.#failingSince !== null) this.#options.notice("The service takes events again.");
    this.#failingSince = null;
  }

  /** Milliseconds left to try again; throws when there are none. */
  #failed(started: number, reason: string): number {
    const { url, io, notice, signal } = this.#options;
    if (this.#failingSince === null && !signal.aborted) {
      notice(`${url} ${reason}; trying again for up to ${PATIENCE_MS / 60_000} minutes.`);
    }
    this.#failingSince ??= started;
    const left = this.#failingSince + PATIENCE_MS - io.clock.now();
    if (left > 0) return left;
    throw new CommandFailure(`gave up after ${PATIENCE_MS / 60_000} minutes without success: ${url} ${reason}`);
  }
}

function tooLarge(detail: string): Outcome {
  return { ...NOTHING_ACCEPTED, rejected: [{ index: 0, code: "too_large", detail }] };
}

function bodyOf(batch: Batch): Buffer<ArrayBuffer> {
  const newline = Buffer.from("\n");
  return Buffer.concat(batch.flatMap(({ bytes }) => [bytes, newline]));
}
