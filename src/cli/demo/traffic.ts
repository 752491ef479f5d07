import type { Tallymark, TallymarkEvent } from "../../client/index.ts";
import type { Clock } from "../replay/io.ts";
import { SLOT_MS, shopSlot } from "./shop.ts";

/** Events that are given to the client before the first of them are acknowledged, while the past is made up for. */
const AHEAD_EVENTS = 20_000;
/** How often events that are due are sent, ms. */
const TICK_MS = 100;

export interface TrafficOptions {
  readonly client: Tallymark;
  readonly seed: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** The shop's visitors, as the client sends them. */
export class Traffic {
  readonly #options: TrafficOptions;
  sent = 0;
  copies = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  /** Sends everything from one time on up to now, as fast as it goes. @returns the first slot that is not sent */
  async catchUp(from: number): Promise<number> {
    const { client, seed, clock, signal } = this.#options;
    let slot = Math.floor(from / SLOT_MS);
    for (; slot < Math.floor(clock.now() / SLOT_MS) && !signal.aborted; slot++) {
      const { events, copies } = shopSlot(seed, slot);
      for (const event of events) this.#track(event);
      this.#trackCopies(copies);
      if (client.stats.queued >= AHEAD_EVENTS) await this.#flush();
    }
    await this.#flush();
    return slot;
  }

  /** Sends what happens as it happens, until the signal is aborted. */
  async live(firstSlot: number): Promise<void> {
    const { seed, clock, signal } = this.#options;
    for (let slot = firstSlot; !signal.aborted; slot++) {
      const begins = slot * SLOT_MS;
      const { events, copies } = shopSlot(seed, slot);
      for (let tick = 1; tick <= SLOT_MS / TICK_MS && !signal.aborted; tick++) {
        const end = begins + tick * TICK_MS;
        await clock.sleep(end - clock.now(), signal);
        const part = (share: number) => Math.floor((share * events.length * TICK_MS) / SLOT_MS);
        for (const event of events.slice(part(tick - 1), part(tick))) this.#track(event);
      }
      if (!signal.aborted) this.#trackCopies(copies);
    }
  }

  /** Whoever wants to stop does not wait for a service that may not answer any more. */
  async #flush(): Promise<void> {
    const { client, clock, signal } = this.#options;
    const flushed = new AbortController();
    const waiting = clock.sleep(Number.POSITIVE_INFINITY, AbortSignal.any([signal, flushed.signal]));
    await Promise.race([client.flush(), waiting]);
    flushed.abort();
  }

  #track(event: TallymarkEvent): void {
    this.#options.client.track(event);
    this.sent++;
  }

  #trackCopies(copies: readonly TallymarkEvent[]): void {
    for (const copy of copies) this.#track(copy);
    this.copies += copies.length;
  }
}
