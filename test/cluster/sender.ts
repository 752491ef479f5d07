import { vi } from "vitest";
import { call } from "../support/app.ts";

/** The longest time until a request that was answered 503 is taken, ms. */
const TAKEN_WITHIN_MS = 60_000;

/** A client as it should be: the same ids again until the answer says that they are queued. */
export class Sender {
  /** Answers by status, so that a test can say which of them it allows. */
  readonly answers = new Map<number, number>();
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async deliver(events: readonly object[]): Promise<void> {
    const send = async () => {
      if (!(await this.offer(events))) throw new Error("the events were not taken");
    };
    await vi.waitFor(send, { timeout: TAKEN_WITHIN_MS, interval: 100 });
  }

  /** One attempt; true when the events were taken. */
  async offer(events: readonly object[]): Promise<boolean> {
    const { status } = await call(this.#url, "POST", "/v1/events", events);
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
    return status === 202;
  }
}
