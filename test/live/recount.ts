import { compareCodePoints } from "../../src/core/key.ts";
import type { LogEvent } from "../truth/truth.ts";

interface Seen {
  readonly at: number;
  readonly subject: string;
}

/** Counts a log again, span by span, from its lines alone. */
export class Recount {
  /** Oldest first. */
  readonly #events: readonly Seen[];

  constructor(events: readonly Pick<LogEvent, "time" | "subject">[]) {
    this.#events = events.map(({ time, subject }) => ({ at: Date.parse(time), subject })).sort((a, b) => a.at - b.at);
  }

  get firstAt(): number {
    return this.#events[0]?.at ?? 0;
  }

  /** Events in `[from, to)`, ms. */
  count(from: number, to: number): number {
    return Math.max(0, this.#before(to) - this.#before(from));
  }

  /** Counts by subject in `[from, to)`. */
  bySubject(from: number, to: number): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { subject } of this.#events.slice(this.#before(from), Math.max(this.#before(from), this.#before(to)))) {
      counts.set(subject, (counts.get(subject) ?? 0) + 1);
    }
    return counts;
  }

  /** The largest subjects of `[from, to)`, ties by code points. */
  top(from: number, to: number, limit: number): [string, number][] {
    const ranked = [...this.bySubject(from, to)].sort(([a, n], [b, m]) => m - n || compareCodePoints(a, b));
    return ranked.slice(0, limit);
  }

  /** How many events lie before an instant. */
  #before(at: number): number {
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle] as Seen).at < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
