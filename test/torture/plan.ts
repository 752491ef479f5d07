import { FAULT_NAMES, type FaultName } from "./faults.ts";
import type { Traffic } from "./generator.ts";
import type { Mutation } from "./product.ts";

/** Everything that decides a run. */
export interface Plan {
  readonly seed: number;
  readonly events: number;
  /** Events a second at most. */
  readonly rate: number;
  readonly traffic: Traffic;
  /** Whether poison, readmissions and retries of dead letters go on beside. */
  readonly sideTraffic: boolean;
  readonly kinds: readonly FaultName[];
  readonly gapMs: readonly [from: number, to: number];
  /** Faults at least; they go on while events are sent. */
  readonly faults: number;
  readonly env: Readonly<Record<string, string>>;
  readonly mutations: readonly Mutation[];
  /** How long an answer may take before its outcome counts as unknown, ms. */
  readonly timeoutMs: number;
  /** Nothing moving for this long means that nothing will, ms. */
  readonly stallMs: number;
  /** Whether one difference is enough: what comes after it is not compared. */
  readonly oneIsEnough: boolean;
}

const TRAFFIC: Traffic = { duplicates: 0.05, resends: 0.02, bad: 0.01, waiting: 0.1, lates: true };

/** Events a second that two cores bear beside everything else. */
const RATE_MAX = 2_500;

/** So many that the events last until the faults have happened. */
function rateFor(events: number, faults: number, [from, to]: Plan["gapMs"]): number {
  const seconds = (faults * (from + to)) / 2 / 1_000;
  return Math.min(RATE_MAX, events / seconds);
}

/** A run on demand: every kind of fault, long enough for most of them. */
export function fullPlan(seed: number, events: number): Plan {
  const gapMs = [2_000, 5_000] as const;
  return {
    seed,
    events,
    rate: rateFor(events, FAULT_NAMES.length, gapMs),
    traffic: TRAFFIC,
    sideTraffic: true,
    kinds: FAULT_NAMES,
    gapMs,
    faults: FAULT_NAMES.length,
    env: {},
    mutations: [],
    timeoutMs: 15_000,
    stallMs: 60_000,
    oneIsEnough: false,
  };
}

/** A run for every change. */
export function shortPlan(seed: number, events = 20_000): Plan {
  const gapMs = [1_000, 3_000] as const;
  return { ...fullPlan(seed, events), rate: rateFor(events, 8, gapMs), gapMs, faults: 8 };
}
