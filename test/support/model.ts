import { type Counter, keyOf, matchesWhere } from "../../src/core/counter.ts";
import { toMicro } from "../../src/core/decimal.ts";
import type { Event } from "../../src/core/event.ts";
import { readField, scalarText } from "../../src/core/fields.ts";

/** What one counter should hold, by plain loops over plain maps: the oracle for histories of any kind. */
export interface ModelCell {
  count: number;
  micro: bigint;
  members: Set<string>;
}

export interface ModelEntry {
  readonly arrival: number;
  readonly events: readonly Event[];
}

interface ModelCounter {
  /** `${windowMs} ${bucketStart} ${owner}` → cell; owner is `t`, or `k` and the key's text. */
  readonly cells: Map<string, ModelCell>;
  clock: number | null;
  closed: number;
}

/** One partition, as the design says it should behave. Knows nothing of Redis, streams or scripts. */
export class ModelPartition {
  readonly counters: ReadonlyMap<Counter, ModelCounter>;
  readonly outcomes = { applied: 0, duplicates: 0, late: 0 };
  readonly late: { counter: string; id: string }[] = [];
  readonly #seen = new Set<string>();

  constructor(counters: readonly Counter[]) {
    this.counters = new Map(
      counters.map((counter) => [counter, { cells: new Map(), clock: null, closed: Number.NEGATIVE_INFINITY }]),
    );
  }

  /** Lateness is judged by the clocks as the batch began. */
  applyBatch(entries: readonly ModelEntry[]): void {
    const closed = new Map([...this.counters].map(([counter, state]) => [counter, state.closed]));
    for (const { arrival, events } of entries) for (const event of events) this.#applyEvent(event, arrival, closed);
    for (const [counter, state] of this.counters) {
      if (state.clock !== null) state.closed = Math.max(state.closed, state.clock - counter.latenessMs);
    }
  }

  #applyEvent(event: Event, arrival: number, closed: ReadonlyMap<Counter, number>): void {
    const identity = JSON.stringify([event.source, event.id]);
    if (this.#seen.has(identity)) {
      this.outcomes.duplicates++;
      return;
    }
    this.#seen.add(identity);
    const time = event.time ?? arrival;
    let late = false;
    for (const [counter, state] of this.counters) {
      if (counter.types && !counter.types.includes(event.type)) continue;
      if (!matchesWhere(counter, event)) continue;
      const finest = counter.windows[0]?.ms ?? 0;
      if (Math.floor(time / finest) * finest + finest <= (closed.get(counter) as number)) {
        late = true;
        this.late.push({ counter: counter.name, id: event.id });
      } else {
        countInto(counter, state, event, time);
      }
      state.clock = Math.max(state.clock ?? 0, Math.min(time, arrival));
    }
    this.outcomes[late ? "late" : "applied"]++;
  }
}

function countInto(counter: Counter, state: ModelCounter, event: Event, time: number): void {
  const value = counter.sum ? readField(event, counter.sum) : undefined;
  const member = counter.unique ? scalarText(readField(event, counter.unique)) : null;
  const owners = counter.by.length === 0 ? ["t"] : ["t", `k${keyOf(counter, event)}`];
  for (const { ms } of counter.windows) {
    for (const owner of owners) {
      const name = `${ms} ${Math.floor(time / ms) * ms} ${owner}`;
      const cell = state.cells.get(name) ?? { count: 0, micro: 0n, members: new Set<string>() };
      state.cells.set(name, cell);
      cell.count++;
      if (typeof value === "number") cell.micro += BigInt(toMicro(value));
      if (member !== null) cell.members.add(member);
    }
  }
}
