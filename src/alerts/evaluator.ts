import pMap from "p-map";
import { ulid } from "ulid";
import type { Counter } from "../core/counter.ts";
import { decodeKey } from "../core/key.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { EverywhereDependencies } from "../query/everywhere.ts";
import { type InstanceChange, transition } from "../redis/commands/alerts.ts";
import { parseOwner } from "../redis/keys.ts";
import { type Delivery, WAITING } from "./delivery.ts";
import { type InstanceState, type Reading, type Step, step } from "./evaluate.ts";
import { EVENT_ID_PREFIX, makeEvent } from "./event.ts";
import { fits, type Rule } from "./rule.ts";
import { RuleBook, readInstances } from "./store.ts";
import { AlertValues, type RuleReading, STALE } from "./values.ts";

export interface EvaluatorDependencies extends EverywhereDependencies {
  readonly registry: CounterRegistry;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Wall time that all evaluators share, ms. */
  readonly now: () => Promise<number>;
}

/** Groups of rules read at the same time, so that none waits for each reply alone; and rules written. */
const GROUPS_AT_ONCE = 8;
const WRITES_AT_ONCE = 32;

/** A state with the text it was stored as, which is what compare-and-set compares. */
interface Held {
  readonly text: string;
  readonly state: InstanceState;
}

const NONE: ReadonlyMap<string, Held> = new Map();

interface HeldRule {
  readonly version: number;
  readonly instances: Map<string, Held>;
}

/**
 * Evaluates all rules. Between ticks it holds what it has written, so that a tick reads values alone and writes only
 * what changes. That is a cache: every write is a compare-and-set, and one that fails is read anew.
 */
export class Evaluator {
  readonly #deps: EvaluatorDependencies;
  readonly #values: AlertValues;
  readonly #book: RuleBook;
  readonly #held = new Map<string, HeldRule>();

  constructor(deps: EvaluatorDependencies) {
    this.#deps = deps;
    this.#values = new AlertValues(deps);
    this.#book = new RuleBook(deps.client);
  }

  /** Forgets what is held: another evaluator may have written meanwhile. */
  forget(): void {
    this.#held.clear();
  }

  async tick(): Promise<void> {
    const { metrics } = this.#deps;
    const end = metrics.alertSeconds.startTimer();
    const now = await this.#deps.now();
    const rules = await this.#book.read();
    await this.#load(rules);
    const told = { stale: 0, overflow: 0 };
    await pMap(
      groupByCounter(rules.values()),
      async ({ name, group }) => {
        try {
          for (const { isStale, overflow } of await this.#evaluate(name, group, now)) {
            if (isStale) told.stale++;
            if (overflow) told.overflow++;
          }
        } catch (error) {
          metrics.alertFailures.inc();
          this.#deps.log.warn({ err: error, counter: name }, "cannot evaluate alerts; trying again");
        }
      },
      { concurrency: GROUPS_AT_ONCE },
    );
    this.#tell(rules.size, told);
    end();
  }

  /** Reads states of rules that are new or changed, and drops those of rules that are gone. */
  async #load(rules: ReadonlyMap<string, Rule>): Promise<void> {
    for (const id of this.#held.keys()) if (!rules.has(id)) this.#held.delete(id);
    const wanted = [...rules.values()].filter(({ id, version }) => this.#held.get(id)?.version !== version);
    const found = await readInstances(
      this.#deps.client,
      wanted.map(({ id }) => id),
    );
    for (const [i, { id, version }] of wanted.entries()) {
      const instances = new Map<string, Held>();
      for (const [name, text] of found[i] ?? []) instances.set(name, { text, state: JSON.parse(text) });
      this.#held.set(id, { version, instances });
    }
  }

  async #evaluate(name: string, rules: readonly Rule[], now: number): Promise<RuleReading[]> {
    const counter = this.#deps.registry.current.find(name);
    const readings = await this.#read(counter, rules, now);
    const writes = rules.flatMap((rule, i) => {
      const changes = this.#changes(rule, counter, readings[i] as RuleReading, now);
      return changes.length > 0 ? [{ rule, changes }] : [];
    });
    await pMap(writes, ({ rule, changes }) => this.#write(rule, changes, now), { concurrency: WRITES_AT_ONCE });
    return readings;
  }

  /** A counter that is gone, or was made anew without what a rule is on, leaves the rule stale. */
  async #read(counter: Counter | undefined, rules: readonly Rule[], now: number): Promise<RuleReading[]> {
    const fitting = rules.filter((rule) => fits(rule, counter));
    if (!counter || fitting.length === 0) return rules.map(() => STALE);
    const asked = fitting.map((rule) => ({ rule, instances: [...this.#instancesOf(rule).keys()] }));
    const readings = await this.#values.read(counter, asked, now);
    const byRule = new Map(fitting.map((rule, i) => [rule, readings[i] as RuleReading]));
    return rules.map((rule) => byRule.get(rule) ?? STALE);
  }

  #instancesOf(rule: Rule): ReadonlyMap<string, Held> {
    return this.#held.get(rule.id)?.instances ?? NONE;
  }

  #changes(rule: Rule, counter: Counter | undefined, reading: RuleReading, now: number): Change[] {
    const held = this.#instancesOf(rule);
    const changes: Change[] = [];
    const look = (instance: string, read: Reading) => {
      const before = held.get(instance);
      const after = step(rule, before?.state ?? null, read, now, (made) => {
        const key = shownKey(rule, counter, instance);
        const value = typeof read === "number" ? read : null;
        return makeEvent(rule, { id: newEventId(), now, key, value, span: reading.span }, made);
      });
      if (after.state !== (before?.state ?? null)) changes.push(toChange(rule, instance, before?.text ?? "", after));
    };
    for (const [instance, read] of reading.readings) look(instance, read);
    for (const instance of held.keys()) {
      // What a rule does not watch any more may still be owed a message.
      if (!reading.readings.has(instance)) look(instance, reading.isStale ? "stale" : "none");
    }
    return changes;
  }

  async #write(rule: Rule, changes: readonly Change[], now: number): Promise<void> {
    const { client, scripts, metrics } = this.#deps;
    const held = this.#held.get(rule.id);
    // Whatever happens to the write: unless it is known to be made, the states are read anew.
    this.#held.delete(rule.id);
    const { id, version } = rule;
    const outcome = await transition(client, scripts, { id, version, changes, waiting: WAITING, now });
    if (outcome.kind !== "ok" || !held) return;
    for (const [i, { instance, next, after }] of changes.entries()) {
      if (!outcome.made[i]) continue;
      if (after.state) held.instances.set(instance, { text: next, state: after.state });
      else held.instances.delete(instance);
      if (after.recorded) metrics.alertTransitions.inc({ type: after.recorded.type });
    }
    if (outcome.made.every(Boolean)) this.#held.set(id, held);
  }

  #tell(rules: number, { stale, overflow }: { stale: number; overflow: number }): void {
    const { metrics } = this.#deps;
    const counts = { pending: 0, firing: 0 };
    for (const { instances } of this.#held.values()) {
      for (const { state } of instances.values()) if (state.state !== "inactive") counts[state.state]++;
    }
    metrics.alertRules.set(rules);
    for (const [state, count] of Object.entries({ ...counts, stale })) metrics.alertInstances.set({ state }, count);
    metrics.alertOverflow.set(overflow);
  }
}

/** Rules read together. Between groups, which take a few milliseconds each, whatever else the process does goes on. */
const GROUP_MAX = 250;

export interface RuleGroup {
  /** Of the counter. */
  readonly name: string;
  readonly group: Rule[];
}

/** Rules by counter, of many on one counter so many at a time. */
export function groupByCounter(rules: Iterable<Rule>): RuleGroup[] {
  const groups: RuleGroup[] = [];
  const open = new Map<string, Rule[]>();
  for (const rule of rules) {
    const name = rule.definition.counter;
    let group = open.get(name);
    if (!group || group.length === GROUP_MAX) {
      group = [];
      open.set(name, group);
      groups.push({ name, group });
    }
    group.push(rule);
  }
  return groups;
}

/** A change, and the step that it stores. */
export interface Change extends InstanceChange {
  readonly after: Step;
}

export const newEventId = () => `${EVENT_ID_PREFIX}${ulid()}`;

export function toChange(rule: Rule, instance: string, expected: string, after: Step): Change {
  const { recorded, due: wanted } = after;
  const isOpen = rule.webhook !== null && rule.webhook.disabledAt === undefined;
  const due = isOpen ? wanted.map((event) => ({ id: event.id, event: JSON.stringify(event) })) : [];
  const outcome = !isOpen ? "none" : recorded && wanted.includes(recorded) ? "waiting" : "silenced";
  return {
    instance,
    expected,
    next: after.state ? JSON.stringify(after.state) : "",
    ...(recorded && {
      recorded: {
        id: recorded.id,
        event: JSON.stringify(recorded),
        outcome: JSON.stringify({ outcome } satisfies Delivery),
      },
    }),
    due,
    after,
  };
}

/** The key of an instance as it is shown: `null` for the total. */
export function shownKey(rule: Rule, counter: Counter | undefined, instance: string): readonly string[] | null {
  if (Array.isArray(rule.definition.key)) return rule.definition.key;
  const owner = parseOwner(instance);
  return typeof owner === "object" ? decodeKey(owner.key, counter?.by.length ?? 1) : null;
}
