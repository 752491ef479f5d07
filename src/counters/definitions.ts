import { type Counter, compileCounter } from "../core/counter.ts";
import { Problem } from "../core/problem.ts";
import type { StoredDefinitions } from "../redis/commands/definitions.ts";

/** All counters at one version. Never changes: an event is counted under exactly one of these. */
export class Definitions {
  readonly version: number;
  readonly counters: readonly Counter[];
  /** Generations that are being rebuilt beside those of `counters`: counted, and not looked up. */
  readonly staged: readonly Counter[];
  readonly #byName: ReadonlyMap<string, Counter>;
  readonly #byType = new Map<string, Counter[]>();
  readonly #everyType: readonly Counter[];

  constructor(stored: StoredDefinitions) {
    this.version = stored.version;
    this.counters = stored.counters.map(({ definition, generation }) => compileCounter(definition, generation));
    this.staged = (stored.staged ?? []).map(({ definition, generation }) => compileCounter(definition, generation));
    this.#byName = new Map(this.counters.map((counter) => [counter.name, counter]));
    const all = [...this.counters, ...this.staged];
    this.#everyType = all.filter((counter) => counter.types === null);
    for (const counter of all) {
      for (const type of counter.types ?? []) {
        const list = this.#byType.get(type) ?? [...this.#everyType];
        if (!list.includes(counter)) list.push(counter);
        this.#byType.set(type, list);
      }
    }
  }

  find(name: string): Counter | undefined {
    return this.#byName.get(name);
  }

  /** The counter of a name that a client gave; throws a Problem `unknown_counter`. */
  get(name: string): Counter {
    const counter = this.find(name);
    if (!counter) throw new Problem("unknown_counter", `there is no counter "${name}"`);
    return counter;
  }

  /** Counters of an event type, staged ones included; their `where` is still to be asked. */
  forType(type: string): readonly Counter[] {
    return this.#byType.get(type) ?? this.#everyType;
  }
}
