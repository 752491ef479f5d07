import pMap from "p-map";
import type { Cell } from "../buckets/cells.ts";
import type { CounterState } from "../buckets/state.ts";
import { type Counter, finestOf } from "../core/counter.ts";
import { encodeKey } from "../core/key.ts";
import { ALERT_CLOCK_MAX_LAG_MS, ALERT_INSTANCES_MAX } from "../core/limits.ts";
import { bucketCeil, bucketStart, type Range } from "../core/window.ts";
import { Everywhere, type EverywhereDependencies, type View } from "../query/everywhere.ts";
import { lookAt } from "../query/look.ts";
import { planSpan, type Span } from "../query/span.ts";
import { type LeadingKeys, leadingKeys } from "../query/top.ts";
import { type CellOwner, ownerText, parseOwner } from "../redis/keys.ts";
import type { Reading } from "./evaluate.ts";
import type { AlertDefinition, Rule } from "./rule.ts";

/** A rule to read for, and its instances that must be read whatever the counter holds, by name. */
export interface Asked {
  readonly rule: Rule;
  readonly instances: readonly string[];
}

export interface RuleReading {
  readonly isStale: boolean;
  /** `null` while stale. */
  readonly span: Span | null;
  /** By instance. */
  readonly readings: ReadonlyMap<string, Reading>;
  /** There are more keys than a rule watches. */
  readonly overflow: boolean;
}

export const STALE: RuleReading = { isStale: true, span: null, readings: new Map(), overflow: false };

/** Unions asked for at the same time. */
const UNIQUES_AT_ONCE = 16;

/** Reads what rules on one counter compare: one look at it, and every number once however many rules ask for it. */
export class AlertValues {
  readonly #everywhere: Everywhere;

  constructor(deps: EverywhereDependencies) {
    this.#everywhere = new Everywhere(deps);
  }

  /** One reading for each rule, in order. */
  read(counter: Counter, asked: readonly Asked[], now: number): Promise<RuleReading[]> {
    return lookAt(this.#everywhere, counter, undefined, async (state, view) => {
      const numbers = new Numbers(this.#everywhere, view, state);
      const reads: (RuleRead | null)[] = [];
      for (const { rule, instances } of asked) {
        const span = spanOf(rule, counter, state, now);
        const read = span && new RuleRead(rule, counter, span, instances, numbers);
        if (rule.definition.key === "*") await read?.addKeys();
        read?.ask();
        reads.push(read);
      }
      await numbers.read();
      return [reads.map((read) => read?.result() ?? STALE), numbers.ranges];
    });
  }
}

/**
 * The whole buckets that a rule means, or `null` when the clock that ends them is too far behind wall time. A value that
 * can only grow may include the open bucket; any other would be wrong until its last bucket is complete.
 */
function spanOf({ definition, lastMs }: Rule, counter: Counter, { time }: CounterState, now: number): Span | null {
  if (!time) return null;
  const { ms } = finestOf(counter);
  const isOpen = definition.op.startsWith(">") && !definition.compare;
  const clock = isOpen ? time.newestClock : time.watermark;
  if (now - clock > ALERT_CLOCK_MAX_LAG_MS) return null;
  const to = bucketStart(clock, ms) + (isOpen ? ms : 0);
  return { from: Math.max(0, to - bucketCeil(lastMs, ms)), to };
}

/** Numbers of one counter, asked for first and then read together. */
class Numbers {
  readonly ranges: Range[] = [];
  readonly #everywhere: Everywhere;
  readonly #view: View;
  readonly #state: CounterState;
  readonly #spans = new Map<string, SpanNumbers>();

  constructor(everywhere: Everywhere, view: View, state: CounterState) {
    this.#everywhere = everywhere;
    this.#view = view;
    this.#state = state;
  }

  of(span: Span): SpanNumbers {
    const name = `${span.from} ${span.to}`;
    let numbers = this.#spans.get(name);
    if (!numbers) {
      const ranges = planSpan(this.#view.counter, span, this.#state);
      this.ranges.push(...ranges);
      numbers = new SpanNumbers(this.#everywhere, this.#view, ranges);
      this.#spans.set(name, numbers);
    }
    return numbers;
  }

  async read(): Promise<void> {
    await Promise.all([...this.#spans.values()].map((numbers) => numbers.read()));
  }
}

class SpanNumbers {
  readonly #everywhere: Everywhere;
  readonly #view: View;
  readonly #ranges: readonly Range[];
  readonly #cells = new Map<string, Cell | null>();
  readonly #uniques = new Map<string, number>();
  #keys: Promise<LeadingKeys> | null = null;

  constructor(everywhere: Everywhere, view: View, ranges: readonly Range[]) {
    this.#everywhere = everywhere;
    this.#view = view;
    this.#ranges = ranges;
  }

  keys(): Promise<LeadingKeys> {
    this.#keys ??= leadingKeys(this.#everywhere, this.#view, this.#ranges, ALERT_INSTANCES_MAX);
    return this.#keys;
  }

  ask(measure: AlertDefinition["measure"], owner: string): void {
    if (measure === "unique") this.#uniques.set(owner, 0);
    else this.#cells.set(owner, null);
  }

  async read(): Promise<void> {
    const owners = [...this.#cells.keys()];
    const cells = await this.#everywhere.sums(this.#view, owners.map(parseOwner), this.#ranges);
    for (const [i, owner] of owners.entries()) this.#cells.set(owner, cells[i] as Cell);
    await pMap(
      this.#uniques.keys(),
      async (owner) => {
        this.#uniques.set(owner, await this.#everywhere.distinct(this.#view, parseOwner(owner), this.#ranges));
      },
      { concurrency: UNIQUES_AT_ONCE },
    );
  }

  get(measure: AlertDefinition["measure"], owner: string): number {
    if (measure === "unique") return this.#uniques.get(owner) ?? 0;
    const cell = this.#cells.get(owner);
    if (!cell) return 0;
    return measure === "count" ? Number(cell.count) : Number(cell.micro) / 1e6;
  }
}

const TOTAL = ownerText("total");

/** What one rule asks for, and what it makes of the answers. */
class RuleRead {
  readonly #rule: Rule;
  readonly #counter: Counter;
  readonly #span: Span;
  readonly #current: SpanNumbers;
  /** The span before, where the rule compares. */
  readonly #previous: SpanNumbers | null;
  readonly #instances: Set<string>;
  #overflow = false;

  constructor(rule: Rule, counter: Counter, span: Span, instances: readonly string[], numbers: Numbers) {
    this.#rule = rule;
    this.#counter = counter;
    this.#span = span;
    this.#current = numbers.of(span);
    const before = { from: Math.max(0, 2 * span.from - span.to), to: span.from };
    this.#previous = rule.definition.compare ? numbers.of(before) : null;
    this.#instances = new Set(rule.definition.key === "*" ? instances : []);
  }

  ask(): void {
    const { definition } = this.#rule;
    if (definition.key !== "*") this.#instances.add(ownerText(ownerOf(definition.key, this.#counter)));
    for (const owner of this.#instances) {
      this.#current.ask(definition.measure, owner);
      this.#previous?.ask(definition.measure, owner);
    }
    if (definition.noData) this.#current.ask("count", TOTAL);
  }

  /** Instances that are not inactive are watched in any case, others as far as there is room. */
  async addKeys(): Promise<void> {
    const { keys, isAll } = await this.#current.keys();
    this.#overflow = !isAll;
    for (const key of keys) {
      const instance = ownerText({ key });
      if (this.#instances.has(instance)) continue;
      if (this.#instances.size >= ALERT_INSTANCES_MAX) {
        this.#overflow = true;
        return;
      }
      this.#instances.add(instance);
    }
  }

  result(): RuleReading {
    const { noData } = this.#rule.definition;
    const isEmpty = noData !== undefined && this.#current.get("count", TOTAL) === 0;
    const readings = new Map<string, Reading>();
    for (const owner of this.#instances) readings.set(owner, isEmpty ? "no data" : this.#value(owner));
    return { isStale: false, span: this.#span, readings, overflow: this.#overflow };
  }

  #value(owner: string): Reading {
    const { measure } = this.#rule.definition;
    const value = this.#current.get(measure, owner);
    if (!this.#previous) return value;
    const previous = this.#previous.get(measure, owner);
    return previous === 0 ? "none" : (100 * (value - previous)) / Math.abs(previous);
  }
}

/** A counter by no field has one series, which is its total. */
function ownerOf(key: Exclude<AlertDefinition["key"], "*">, counter: Counter): CellOwner {
  return key === null || counter.by.length === 0 ? "total" : { key: encodeKey(key) };
}
