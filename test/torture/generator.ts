import type { Random } from "../../load/random.ts";
import { EventSource, makeBad, type SentEvent } from "./events.ts";

/** Shares of a run's traffic; 0 leaves a kind out. */
export interface Traffic {
  /** Copies of an event of the same request. */
  readonly duplicates: number;
  /** Events of earlier requests, sent once more. */
  readonly resends: number;
  /** Events that must be rejected. */
  readonly bad: number;
  /** Requests that wait until they are applied. */
  readonly waiting: number;
  /** Whether some events are older than every lateness. */
  readonly lates: boolean;
}

/** One request. */
export interface Batch {
  readonly number: number;
  /** Valid events in the order sent, copies included. */
  readonly events: readonly SentEvent[];
  /** Index and code of each event that must be rejected. */
  readonly bad: readonly (readonly [index: number, code: string])[];
  /** Events that are a copy of one before them in this request. */
  readonly copies: number;
  readonly resends: number;
  readonly body: string;
  readonly mediaType: "application/json" | "application/x-ndjson";
  readonly waits: boolean;
}

const BATCH_MIN = 20;
const BATCH_SPREAD = 180;
/** Events that may still be sent again. */
const REMEMBERED = 20_000;

/** Makes requests; the same seed makes the same ones, but for the times in them. */
export class Generator {
  readonly #random: Random;
  readonly #source: EventSource;
  readonly #traffic: Traffic;
  readonly #earlier: SentEvent[] = [];
  #requests = 0;

  constructor(random: Random, traffic: Traffic) {
    this.#random = random;
    this.#source = new EventSource(random, traffic.lates);
    this.#traffic = traffic;
  }

  next(): Batch {
    const random = this.#random;
    const isNdjson = random.below(2) === 0;
    const size = BATCH_MIN + random.below(BATCH_SPREAD);
    const lines: string[] = [];
    const events: SentEvent[] = [];
    const bad: [number, string][] = [];
    const ids = new Set<string>();
    let resends = 0;
    while (lines.length < size) {
      const draw = random.unit();
      if (draw < this.#traffic.bad) {
        const { json, code } = makeBad(random, isNdjson);
        bad.push([lines.length, code]);
        lines.push(json);
        continue;
      }
      const again = this.#again(draw - this.#traffic.bad, events);
      const event = again ?? this.#source.next();
      if (again && !ids.has(again.id)) resends++;
      ids.add(event.id);
      events.push(event);
      lines.push(event.json);
    }
    this.#remember(events);
    return {
      number: ++this.#requests,
      events,
      bad,
      copies: events.length - ids.size,
      resends,
      body: isNdjson ? lines.join("\n") : `[${lines.join(",")}]`,
      mediaType: isNdjson ? "application/x-ndjson" : "application/json",
      waits: random.unit() < this.#traffic.waiting,
    };
  }

  /** An event to send once more, for the shares that are copies. */
  #again(draw: number, events: readonly SentEvent[]): SentEvent | undefined {
    const { duplicates, resends } = this.#traffic;
    const from = draw < duplicates ? events : draw < duplicates + resends ? this.#earlier : [];
    return from.length > 0 ? from[this.#random.below(from.length)] : undefined;
  }

  #remember(events: readonly SentEvent[]): void {
    for (const event of events) {
      if (this.#earlier.length < REMEMBERED) this.#earlier.push(event);
      else this.#earlier[this.#random.below(REMEMBERED)] = event;
    }
  }
}
