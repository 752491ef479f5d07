import pMap from "p-map";
import { formatTime } from "../core/time.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { EverywhereDependencies } from "../query/everywhere.ts";
import type { InstanceState, Reading } from "./evaluate.ts";
import { groupByCounter, type RuleGroup, shownKey } from "./evaluator.ts";
import { type AlertDefinition, fits, type Rule } from "./rule.ts";
import { readInstances } from "./store.ts";
import { AlertValues, type RuleReading, STALE } from "./values.ts";

export type AlertState = "inactive" | "pending" | "firing" | "stale";

export interface ShownInstance {
  readonly key: readonly string[] | null;
  readonly state: AlertState;
  readonly since: string;
  readonly value: number | null;
}

/** A rule as it is answered: what was written, and how it stands now. */
export interface ShownAlert extends AlertDefinition {
  readonly id: string;
  /** No secret is shown. */
  readonly webhook?: { readonly url: string; readonly format: string; readonly disabled?: true };
  readonly state: AlertState;
  /** Since when it is pending or firing; of several instances, the first. */
  readonly since: string | null;
  /** `null` while stale, where there is none, and for a rule on `"*"`. */
  readonly value: number | null;
  readonly silencedUntil: string | null;
  /** Of a rule on `"*"`: its instances that are not inactive. */
  readonly instances?: readonly ShownInstance[];
  /** Of a rule on `"*"`: there are more keys than it watches. */
  readonly overflow?: boolean;
}

export interface ViewsDependencies extends EverywhereDependencies {
  readonly registry: CounterRegistry;
  readonly now: () => Promise<number>;
}

const GROUPS_AT_ONCE = 4;

/** Shows rules with their states and values, read as the evaluator reads them. */
export class AlertViews {
  readonly #deps: ViewsDependencies;
  readonly #values: AlertValues;

  constructor(deps: ViewsDependencies) {
    this.#deps = deps;
    this.#values = new AlertValues(deps);
  }

  async show(rules: readonly Rule[]): Promise<ShownAlert[]> {
    const now = await this.#deps.now();
    const ids = rules.map(({ id }) => id);
    const stored = await readInstances(this.#deps.client, ids);
    const states = new Map(rules.map((rule, i) => [rule, parseStates(stored[i])]));
    const shown = new Map<Rule, ShownAlert>();
    const showGroup = async ({ name, group }: RuleGroup) => {
      const counter = this.#deps.registry.current.find(name);
      const fitting = group.filter((rule) => fits(rule, counter));
      const asked = fitting.map((rule) => ({ rule, instances: [...(states.get(rule)?.keys() ?? [])] }));
      const readings = counter && asked.length > 0 ? await this.#values.read(counter, asked, now) : [];
      for (const rule of group) {
        const reading = readings[fitting.indexOf(rule)] ?? STALE;
        const keyOf = (instance: string) => shownKey(rule, counter, instance);
        shown.set(rule, showRule(rule, states.get(rule) ?? new Map(), reading, keyOf, now));
      }
    };
    await pMap(groupByCounter(rules), showGroup, { concurrency: GROUPS_AT_ONCE });
    return rules.map((rule) => shown.get(rule) as ShownAlert);
  }
}

function parseStates(stored: ReadonlyMap<string, string> | undefined): Map<string, InstanceState> {
  return new Map([...(stored ?? [])].map(([instance, text]) => [instance, JSON.parse(text) as InstanceState]));
}

function showRule(
  rule: Rule,
  states: ReadonlyMap<string, InstanceState>,
  { isStale, readings, overflow }: RuleReading,
  keyOf: (instance: string) => readonly string[] | null,
  now: number,
): ShownAlert {
  const { id, definition, webhook, silencedUntil } = rule;
  const isEach = definition.key === "*";
  const instances: ShownInstance[] = [];
  for (const [instance, state] of states) {
    if (state.state === "inactive") continue;
    const value = shownValue(readings.get(instance));
    instances.push({ key: keyOf(instance), state: state.state, since: formatTime(state.since), value });
  }
  const state = isStale ? "stale" : overallState(instances);
  const since = instances.filter((instance) => isStale || instance.state === state).map((instance) => instance.since);
  const [only] = isEach ? [] : readings.values();
  return {
    id,
    ...definition,
    ...(webhook && {
      webhook: {
        url: webhook.url,
        format: webhook.format,
        ...(webhook.disabledAt !== undefined && { disabled: true as const }),
      },
    }),
    state,
    since: since.sort()[0] ?? null,
    value: shownValue(only),
    silencedUntil: silencedUntil > now ? formatTime(silencedUntil) : null,
    ...(isEach && { instances, overflow }),
  };
}

function shownValue(reading: Reading | undefined): number | null {
  return typeof reading === "number" ? reading : null;
}

function overallState(instances: readonly ShownInstance[]): AlertState {
  if (instances.some(({ state }) => state === "firing")) return "firing";
  return instances.some(({ state }) => state === "pending") ? "pending" : "inactive";
}
