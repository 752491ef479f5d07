import type { CounterInput } from "../../src/core/counter.ts";
import { call } from "../support/app.ts";

/** Batches as a careful client sends them: those whose outcome is unknown are sent again with the same ids. */
export class Batches {
  static readonly EVENTS = 50;
  /** Numbers of the batches that were acknowledged, and of those that were not. */
  readonly acknowledged: number[] = [];
  readonly unknown: number[] = [];
  readonly #padding: string;
  #next = 0;

  /** @param padding bytes added to every event */
  constructor(padding: number) {
    this.#padding = "x".repeat(padding);
  }

  /** Sends the next batch; answers the status, 0 when there was no answer at all. */
  async sendNext(url: string): Promise<number> {
    const batch = this.#next++;
    const status = await this.#send(url, batch);
    (status === 202 ? this.acknowledged : this.unknown).push(batch);
    return status;
  }

  /** Sends one batch of unknown outcome again; true once none is left. */
  async retryOne(url: string): Promise<boolean> {
    const [batch] = this.unknown;
    if (batch !== undefined && (await this.#send(url, batch)) === 202) this.unknown.shift();
    return this.unknown.length === 0;
  }

  async #send(url: string, batch: number): Promise<number> {
    const events = Array.from({ length: Batches.EVENTS }, (_, i) => ({
      id: `b${batch}.${i}`,
      type: "t",
      subject: `b${batch}`,
      time: 1_000,
      data: { padding: this.#padding },
    }));
    return call(url, "POST", "/v1/events", events).then(
      ({ status }) => status,
      () => 0,
    );
  }

  /** Count of every batch, as the counter BATCH_COUNTER has it. */
  async counts(url: string): Promise<number[]> {
    const { body } = await call(url, "GET", "/v1/counters/batches/top?limit=1000&from=0&to=3600000");
    const counts = new Map<string, number>(
      body.top.map(({ key, count }: { key: [string]; count: number }) => [key[0], count]),
    );
    return Array.from({ length: this.#next }, (_, batch) => counts.get(`b${batch}`) ?? 0);
  }

  /** What `counts` must be in the end. */
  get expected(): number[] {
    return Array.from({ length: this.#next }, () => Batches.EVENTS);
  }
}

/** One cell a batch. */
export const BATCH_COUNTER: CounterInput = {
  name: "batches",
  event: "*",
  by: ["subject"],
  windows: ["1h"],
  lateness: "4000d",
};
