import type { AlertEvent, AlertEventType } from "./event.ts";
import type { Rule } from "./rule.ts";

/**
 * The state machine of one instance of a rule: inactive → pending → firing → inactive. No clock and no I/O; times are
 * wall time, ms. An inactive instance has no state, unless a message is owed for it.
 */

/** Messages held back by a silence. Never more than one of each: a firing that ends before it was sent is not sent. */
export interface Owed {
  readonly resolved?: AlertEvent;
  readonly firing?: AlertEvent;
}

interface Held {
  /** Since when the rule is stale; time does not count meanwhile. */
  readonly stale?: number;
  readonly owed?: Owed;
}

interface Pending extends Held {
  readonly state: "pending";
  readonly since: number;
}

interface Firing extends Held {
  readonly state: "firing";
  readonly since: number;
  /** Id of the transition. */
  readonly event: string;
  /** Since when the condition has not held, while `keepFiring` runs. */
  readonly clear?: number;
}

interface Inactive extends Held {
  readonly state: "inactive";
  readonly owed: Owed;
}

export type InstanceState = Pending | Firing | Inactive;

/** What was read: a number; `none` where there is none; `no data` when that is to be judged by `noData`; `stale`. */
export type Reading = number | "none" | "no data" | "stale";

/** Makes the event of a transition; called at most once a step. */
export type Recorder = (transition: {
  readonly type: AlertEventType;
  readonly since: number;
  readonly firing?: string;
}) => AlertEvent;

export interface Step {
  /** The same object as before when nothing has changed. */
  readonly state: InstanceState | null;
  /** The transition that was made. */
  readonly recorded: AlertEvent | null;
  /** What is to be delivered now, in this order. */
  readonly due: readonly AlertEvent[];
}

/** What most steps of most rules come to. */
const INACTIVE: Step = { state: null, recorded: null, due: [] };

type MachineRule = Pick<Rule, "definition" | "forMs" | "keepFiringMs" | "silencedUntil">;

export function step(
  rule: MachineRule,
  state: InstanceState | null,
  reading: Reading,
  now: number,
  record: Recorder,
): Step {
  if (!state && (reading === "stale" || !holds(rule, state, reading))) return INACTIVE;
  if (reading === "stale") return { state: pause(state, now), recorded: null, due: [] };
  const before = resume(state, now);
  const { phase, recorded } = advance(rule, before, holds(rule, before, reading), now, record);
  return settle(rule, phase, owe(before?.owed, recorded), recorded, now);
}

/** A silence holds back what is owed; without one it is due, the resolve of an earlier firing first. */
function settle(
  rule: MachineRule,
  phase: Pending | Firing | null,
  owed: Owed | undefined,
  recorded: AlertEvent | null,
  now: number,
): Step {
  if (now < rule.silencedUntil) return { state: hold(phase, owed), recorded, due: [] };
  const due = [owed?.resolved, owed?.firing].filter((event) => event !== undefined);
  return { state: hold(phase, undefined), recorded, due };
}

/** A stale instance stays what it is; that it is stale is written down once. */
function pause(state: InstanceState | null, now: number): InstanceState | null {
  if (!state || state.state === "inactive" || state.stale !== undefined) return state;
  return { ...state, stale: now };
}

/** Nobody looked while it was stale, so that time counts for neither `for` nor `keepFiring`. */
function resume(state: InstanceState | null, now: number): InstanceState | null {
  if (!state || state.stale === undefined) return state;
  const { stale, ...rest } = state;
  const away = Math.max(0, now - stale);
  if (rest.state === "pending") return { ...rest, since: rest.since + away };
  if (rest.state === "firing" && rest.clear !== undefined) return { ...rest, clear: rest.clear + away };
  return rest;
}

function holds({ definition }: MachineRule, state: InstanceState | null, reading: Exclude<Reading, "stale">): boolean {
  if (reading === "none") return false;
  if (reading === "no data") return definition.noData === "firing";
  const { op, threshold, resolve = threshold } = definition;
  const limit = state?.state === "firing" ? resolve : threshold;
  if (op === ">") return reading > limit;
  if (op === ">=") return reading >= limit;
  return op === "<" ? reading < limit : reading <= limit;
}

/** Where the instance goes, `null` being inactive. */
interface Move {
  readonly phase: Pending | Firing | null;
  readonly recorded: AlertEvent | null;
}

function advance(
  rule: MachineRule,
  state: InstanceState | null,
  isHolding: boolean,
  now: number,
  record: Recorder,
): Move {
  if (state?.state === "firing") return isHolding ? stay(state) : clear(rule, state, now, record);
  if (!isHolding) return { phase: null, recorded: null };
  const pending: Pending = state?.state === "pending" ? state : { state: "pending", since: now };
  if (now - pending.since < rule.forMs) return { phase: pending, recorded: null };
  const recorded = record({ type: "firing", since: now });
  return { phase: { state: "firing", since: now, event: recorded.id }, recorded };
}

function stay(state: Firing): Move {
  if (state.clear === undefined) return { phase: state, recorded: null };
  const { clear: _, ...phase } = state;
  return { phase, recorded: null };
}

function clear(rule: MachineRule, state: Firing, now: number, record: Recorder): Move {
  const since = state.clear ?? now;
  if (now - since < rule.keepFiringMs) {
    return { phase: state.clear === undefined ? { ...state, clear: now } : state, recorded: null };
  }
  return { phase: null, recorded: record({ type: "resolved", since: state.since, firing: state.event }) };
}

/** A firing and its resolve within one silence cancel each other. */
function owe(owed: Owed | undefined, recorded: AlertEvent | null): Owed | undefined {
  if (!recorded) return owed;
  if (recorded.type === "firing") return { ...owed, firing: recorded };
  if (!owed?.firing) return { ...owed, resolved: recorded };
  return owed.resolved && { resolved: owed.resolved };
}

function hold(phase: Pending | Firing | null, owed: Owed | undefined): InstanceState | null {
  if (!phase) return owed ? { state: "inactive", owed } : null;
  if (phase.owed === owed) return phase;
  const { owed: _, ...rest } = phase;
  return owed ? { ...rest, owed } : rest;
}

/** What ends an instance whose rule was put on something else. */
export function endInstance(rule: MachineRule, state: InstanceState, now: number, record: Recorder): Step {
  const firing = state.state === "firing" ? state : null;
  const recorded = firing && record({ type: "resolved", since: firing.since, firing: firing.event });
  return settle(rule, null, owe(state.owed, recorded), recorded, now);
}
