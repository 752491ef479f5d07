import type { ReceivedEvent } from "./packed.ts";

/** Events held at most, some 20 MB. Those of the entries that were held longest go first, and are decoded by whoever needs them. */
const EVENTS_MAX = 20_000;

/**
 * Events on their way through a stream, from ingest to a worker of the same process: it takes them from here and need not
 * decode them once more. What is held equals what the entry says (see `validateEvent`), and is given out once: an entry
 * that is read again is decoded.
 */
export class Handover {
  readonly #processId: string;
  readonly #held = new Map<string, readonly ReceivedEvent[]>();
  #events = 0;
  #names = 0;

  constructor(processId: string) {
    this.#processId = processId;
  }

  /** Holds the events of one entry; answers the name that is to be written on it. */
  hold(events: readonly ReceivedEvent[]): string {
    const name = `${this.#processId}.${(this.#names++).toString(36)}`;
    this.#held.set(name, events);
    this.#events += events.length;
    for (const oldest of this.#held.keys()) {
      if (this.#events <= EVENTS_MAX) break;
      this.take(oldest);
    }
    return name;
  }

  /** `null` when they are not here, or not any more. */
  take(name: string): readonly ReceivedEvent[] | null {
    const events = this.#held.get(name);
    if (!events) return null;
    this.#held.delete(name);
    this.#events -= events.length;
    return events;
  }
}
