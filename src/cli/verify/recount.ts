import { ulid } from "ulid";
import { type Counter, isBeyondSums, matchesWhere } from "../../core/counter.ts";
import { type Event, Rejection, validateEvent } from "../../core/event.ts";
import { isTooLarge } from "../../core/packed.ts";
import { Expected } from "./expected.ts";

/** Lines of one kind: how many, and the first as an example. */
export interface Noted {
  count: number;
  first: string;
}

/** Counts events anew, independently of the service's ways of counting. */
export class Recount {
  readonly expected: readonly Expected[];
  readonly rejected: Noted = { count: 0, first: "" };
  /** Events whose time only the service knows. */
  readonly timeless: Noted = { count: 0, first: "" };
  /** Events that the service should have accepted, duplicates included. */
  events = 0;
  readonly #identities = new Set<string>();
  readonly #byType = new Map<string, readonly Expected[]>();

  constructor(counters: readonly Counter[]) {
    this.expected = counters.map((counter) => new Expected(counter));
  }

  get distinct(): number {
    return this.#identities.size;
  }

  /**
   * @param text a line of NDJSON; `null`: one that was too long to be kept
   * @param where names the line
   * @param now epoch ms, for the limit on future times
   */
  addLine(text: string | null, where: string, now: number): void {
    const event =
      text === null ? new Rejection("too_large", "the line is longer than a request may be") : this.#read(text, now);
    if (event instanceof Rejection) {
      note(this.rejected, `${where}: ${event.detail}`);
      return;
    }
    this.events++;
    const { source, id, time } = event;
    // The length makes the concatenation unambiguous.
    const identity = `${source.length}:${source}${id}`;
    if (this.#identities.has(identity)) return;
    this.#identities.add(identity);
    if (time === null) note(this.timeless, where);
    else for (const one of this.#forType(event.type)) if (matchesWhere(one.counter, event)) one.add(event, time);
  }

  #read(text: string, now: number): Event | Rejection {
    const event = parseEvent(text, now);
    if (event instanceof Rejection) return event;
    const overRange = this.#forType(event.type).find(({ counter }) => isBeyondSums(counter, event));
    return overRange
      ? new Rejection("invalid_data", `${overRange.counter.definition.sum}: beyond the range of sums`)
      : event;
  }

  #forType(type: string): readonly Expected[] {
    let matching = this.#byType.get(type);
    if (!matching) {
      matching = this.expected.filter(({ counter: { types } }) => types === null || types.includes(type));
      this.#byType.set(type, matching);
    }
    return matching;
  }
}

/** Of the length that most fingerprints have; the service measures events with their fingerprint. */
const ANY_IDENTITY = { fingerprint: "-1234567890123456789", spread: 1_234_567_890 };

function parseEvent(text: string, now: number): Event | Rejection {
  try {
    const event = validateEvent(JSON.parse(text), now, ulid);
    if (event instanceof Rejection) return event;
    return isTooLarge(event, ANY_IDENTITY) ? new Rejection("too_large", "the event is too large") : event;
  } catch (error) {
    return new Rejection("invalid_event", (error as Error).message);
  }
}

function note(noted: Noted, where: string): void {
  if (noted.count++ === 0) noted.first = where;
}
