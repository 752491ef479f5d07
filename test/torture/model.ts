import { counts, keyOf, type TortureCounter } from "./counters.ts";
import type { SentEvent } from "./events.ts";

export interface Cell {
  count: number;
  /** Millionths; far below 2^53 in any run. */
  micro: number;
  readonly members: Set<string>;
}

/** Cells of one owner (a key, or the total) in one window, by start of the bucket. */
export type Buckets = Map<number, Cell>;

/** What one counter must hold: the accepted events that match it and are not in its late ledger. */
export class CounterModel {
  readonly counter: TortureCounter;
  readonly events: readonly SentEvent[];
  /** For each window, buckets by key's text; the total has the text `null`. */
  readonly #owners: readonly Map<string | null, Buckets>[];
  /** Whole buckets of the widest window around all events; `null` without events. */
  readonly span: { readonly from: number; readonly to: number } | null;

  constructor(counter: TortureCounter, accepted: Iterable<SentEvent>, late: ReadonlySet<string>) {
    this.counter = counter;
    this.events = [...accepted].filter((event) => counts(counter, event) && !late.has(event.id));
    this.#owners = counter.windows.map(({ ms }) => {
      const owners = new Map<string | null, Buckets>();
      for (const event of this.events) addTo(owners, counter, event, event.time - (event.time % ms));
      return owners;
    });
    this.span = spanOf(this.events, counter.windows.at(-1)?.ms ?? 1);
  }

  /** Texts of all keys with data. */
  get keys(): string[] {
    return [...(this.#owners[0]?.keys() ?? [])].filter((key) => key !== null);
  }

  buckets(window: number, key: string | null): Buckets {
    return this.#owners[window]?.get(key) ?? new Map();
  }
}

export const keyText = (key: readonly string[]) => JSON.stringify(key);
export const keyOfText = (text: string) => JSON.parse(text) as string[];

function addTo(owners: Map<string | null, Buckets>, counter: TortureCounter, event: SentEvent, start: number): void {
  const names = counter.by.length === 0 ? [null] : [null, keyText(keyOf(counter, event))];
  for (const name of names) {
    const buckets: Buckets = owners.get(name) ?? new Map();
    owners.set(name, buckets);
    const cell = buckets.get(start) ?? { count: 0, micro: 0, members: new Set<string>() };
    buckets.set(start, cell);
    cell.count++;
    if (counter.hasSum) cell.micro += event.micro ?? 0;
    if (counter.hasUnique) cell.members.add(event.visitor);
  }
}

function spanOf(events: readonly SentEvent[], unit: number): { from: number; to: number } | null {
  if (events.length === 0) return null;
  let [oldest, newest] = [Number.POSITIVE_INFINITY, 0];
  for (const { time } of events) {
    oldest = Math.min(oldest, time);
    newest = Math.max(newest, time);
  }
  return { from: oldest - (oldest % unit), to: newest - (newest % unit) + unit };
}
