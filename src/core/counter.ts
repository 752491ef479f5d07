import { type Static, Type } from "typebox";
import { formatDuration, parseDuration } from "./duration.ts";
import type { Event } from "./event.ts";
import { type FieldPath, parseFieldPath, readField, scalarText } from "./fields.ts";
import { encodeKey, encodeKeyPart } from "./key.ts";
import { BY_FIELDS_MAX, FOLD_RATIO_MAX, SUM_VALUE_MAX, WINDOWS_MAX } from "./limits.ts";
import type { Window } from "./window.ts";

const Scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean()]);
const Durations = Type.Record(Type.String(), Type.String());

/** What a client writes; everything but `name` and `event` has a default. */
export const CounterInput = Type.Object(
  {
    name: Type.String({ pattern: "^[a-z][a-z0-9_-]{0,63}$" }),
    event: Type.Union([
      Type.String({ minLength: 1 }),
      Type.Array(Type.String({ minLength: 1 }), { minItems: 1, maxItems: 100 }),
    ]),
    by: Type.Optional(Type.Array(Type.String(), { maxItems: BY_FIELDS_MAX })),
    unique: Type.Optional(Type.String()),
    sum: Type.Optional(Type.String()),
    where: Type.Optional(
      Type.Record(Type.String(), Type.Union([Scalar, Type.Array(Scalar, { minItems: 1, maxItems: 1000 })])),
    ),
    windows: Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: WINDOWS_MAX })),
    keep: Type.Optional(Durations),
    coldKeep: Type.Optional(Durations),
    lateness: Type.Optional(Type.String()),
    top: Type.Optional(Type.Boolean()),
    keysMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000_000 })),
  },
  { additionalProperties: false },
);
export type CounterInput = Static<typeof CounterInput>;

/** A definition with its defaults filled in, as it is stored and shown. */
export type CounterDefinition = CounterInput &
  Required<Pick<CounterInput, "by" | "windows" | "keep" | "lateness" | "top" | "keysMax">>;

/** A definition ready for use. */
export interface Counter {
  readonly definition: CounterDefinition;
  readonly name: string;
  /** Part of every Redis key of the counter: one that is deleted and made anew starts empty. */
  readonly generation: number;
  /** Finest first. */
  readonly windows: readonly Window[];
  /** `null`: every type. */
  readonly types: readonly string[] | null;
  readonly by: readonly FieldPath[];
  readonly unique: FieldPath | null;
  readonly sum: FieldPath | null;
  readonly where: readonly { readonly path: FieldPath; readonly values: ReadonlySet<string> }[];
  readonly latenessMs: number;
  readonly top: boolean;
  readonly keysMax: number;
}

export const finestOf = (counter: Counter): Window => counter.windows[0] as Window;
export const widestOf = (counter: Counter): Window => counter.windows.at(-1) as Window;

/** Whether a window's buckets are folded from those of the next finer one, rather than written with every event. */
export function isFolded({ windows }: Counter, window: Window): boolean {
  const finer = windows[windows.indexOf(window) - 1];
  return finer !== undefined && window.ms / finer.ms <= FOLD_RATIO_MAX;
}

/** The counter that exists when nothing was ever configured. */
export const DEFAULT_COUNTER: CounterInput = {
  name: "events",
  event: "*",
  by: ["type"],
  windows: ["10s", "1m", "1h", "1d"],
};

/** Compiles a definition that `parseCounter` made. */
export function compileCounter(definition: CounterDefinition, generation: number): Counter {
  const path = (text: string | undefined) => (text === undefined ? null : (parseFieldPath(text) as FieldPath));
  return {
    definition,
    name: definition.name,
    generation,
    windows: definition.windows.map((label) => ({ label, ms: parseDuration(label) as number })),
    types: eventTypes(definition.event),
    by: definition.by.map((text) => parseFieldPath(text) as FieldPath),
    unique: path(definition.unique),
    sum: path(definition.sum),
    where: Object.entries(definition.where ?? {}).map(([text, values]) => ({
      path: parseFieldPath(text) as FieldPath,
      values: new Set([values].flat().map(String)),
    })),
    latenessMs: parseDuration(definition.lateness) as number,
    top: definition.top,
    keysMax: definition.keysMax,
  };
}

function eventTypes(event: string | readonly string[]): readonly string[] | null {
  const list = typeof event === "string" ? [event] : event;
  return list.includes("*") ? null : list;
}

/** Whether `where` holds; the type is matched by whoever picks the counters of a type. */
export function matchesWhere(counter: Counter, event: Event): boolean {
  for (const { path, values } of counter.where) {
    if (!values.has(textAt(event, path))) return false;
  }
  return true;
}

/** Text of the event's key: missing fields and values that are no scalar are `""`. */
export function keyOf({ by }: Counter, event: Event): string {
  if (by.length === 1) return encodeKeyPart(textAt(event, by[0] as FieldPath));
  return encodeKey(by.map((path) => textAt(event, path)));
}

function textAt(event: Event, path: FieldPath): string {
  return scalarText(readField(event, path)) ?? "";
}

/** Whether the counter would sum a number that is too large to be added up; a value of another type counts as 0. */
export function isBeyondSums(counter: Counter, event: Event): boolean {
  if (!counter.sum) return false;
  const value = readField(event, counter.sum);
  return typeof value === "number" && Math.abs(value) > SUM_VALUE_MAX && matchesWhere(counter, event);
}

const DAY_MS = 86_400_000;

/**
 * Default retention in Redis of a window's buckets: a day of minutes, a month of hours, 400 days of days, and never
 * less than the rule for `keep` asks.
 */
export function defaultKeep(windowMs: number, minimumMs: number): string {
  const days = windowMs < 3_600_000 ? 1 : windowMs < DAY_MS ? 30 : 400;
  const ms = Math.max(days * DAY_MS, minimumMs);
  return days === 1 && ms === DAY_MS ? "24h" : formatDuration(ms);
}
