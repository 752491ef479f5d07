import type { RedisClient } from "../redis/client.ts";
import { outcomeChannel } from "../redis/keys.ts";

export interface Outcome {
  readonly applied: number;
  readonly duplicates: number;
  readonly late: number;
  readonly dead: number;
}

/** Where an entry's outcome is to be sent. */
export interface ReplyTo {
  readonly channel: string;
  readonly ticket: string;
}

/**
 * Waits for outcomes of stream entries, which the script publishes. A message that is missed (the connection broke)
 * costs only the wait: it ends at its deadline, as if the entry had not been applied yet.
 */
export class Outcomes {
  readonly #channel: string;
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  #next = 0;

  private constructor(processId: string) {
    this.#channel = outcomeChannel(processId);
  }

  static async subscribe(subscriber: RedisClient, processId: string): Promise<Outcomes> {
    const outcomes = new Outcomes(processId);
    subscriber.on("message", (channel: string, message: string) => {
      if (channel === outcomes.#channel) outcomes.#receive(message);
    });
    await subscriber.subscribe(outcomes.#channel);
    return outcomes;
  }

  /** Asks for one entry's outcome, before the entry is written. `null` when it has not come after `waitMs`. */
  expect(waitMs: number): { replyTo: ReplyTo; outcome: Promise<Outcome | null> } {
    const ticket = String(this.#next++);
    const outcome = new Promise<Outcome | null>((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(ticket);
        resolve(null);
      }, waitMs);
      this.#waiting.set(ticket, (received) => {
        clearTimeout(timer);
        resolve(received);
      });
    });
    return { replyTo: { channel: this.#channel, ticket }, outcome };
  }

  #receive(message: string): void {
    const [ticket, ...numbers] = message.split(" ");
    const [applied = 0, duplicates = 0, late = 0, dead = 0] = numbers.map(Number);
    this.#waiting.get(ticket as string)?.({ applied, duplicates, late, dead });
    this.#waiting.delete(ticket as string);
  }
}
