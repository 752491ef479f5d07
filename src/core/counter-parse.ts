import { Ajv } from "ajv";
import { type CounterDefinition, CounterInput, compileCounter, defaultKeep } from "./counter.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { isObject } from "./event.ts";
import { DURATION_RULE, type FieldFault, shapeFaults } from "./faults.ts";
import { parseFieldPath } from "./fields.ts";

const validateShape = new Ajv({ allErrors: true, strict: false }).compile(CounterInput);

type Filled = CounterInput & Required<Pick<CounterDefinition, "by" | "windows" | "lateness" | "top" | "keysMax">>;

const DEFAULTS = { by: ["subject"], windows: ["1m", "1h", "1d"], lateness: "10m", top: true, keysMax: 1_000_000 };

/** A definition as a client wrote it → one with its defaults, or all its faults at once. */
export function parseCounter(value: unknown): CounterDefinition | FieldFault[] {
  if (!isObject(value)) return [{ field: "", detail: "a counter must be a JSON object" }];
  const shape = validateShape(value) ? [] : shapeFaults(validateShape.errors, "a counter");
  // What has a wrong shape is left out, so that the rest of the same definition is still checked.
  const broken = new Set(shape.map(({ field }) => field.split(".")[0]));
  const sound = Object.fromEntries(Object.entries(value).filter(([field]) => !broken.has(field)));
  const input = { event: "*", ...DEFAULTS, ...sound } as unknown as Filled;
  const windows = windowFaults(input);
  const keep = windows.length > 0 ? { durations: {}, faults: [] } : fillKeep(input);
  const faults = [...shape, ...fieldFaults(input), ...windows, ...keep.faults];
  return faults.length > 0 ? faults : { ...input, keep: keep.durations };
}

/** Retention of every window, given or default, and where it is shorter than the next wider window needs. */
function fillKeep(input: Filled): { durations: Record<string, string>; faults: FieldFault[] } {
  const durations: Record<string, string> = {};
  const faults: FieldFault[] = [];
  const lateness = parseDuration(input.lateness) as number;
  for (const [i, label] of input.windows.entries()) {
    // A bucket must stay until the wider one over it is closed. The widest window has no such bound.
    const wider = input.windows[i + 1];
    const minimum = wider === undefined ? 0 : (parseDuration(wider) as number) + lateness;
    const given = input.keep?.[label];
    durations[label] = given ?? defaultKeep(parseDuration(label) as number, minimum);
    if (given !== undefined && (parseDuration(given) as number) < minimum) {
      const detail = `must be at least ${formatDuration(minimum)}, the next wider window plus lateness`;
      faults.push({ field: `keep.${label}`, detail });
    }
  }
  return { durations, faults };
}

function fieldFaults(input: Filled): FieldFault[] {
  const detail = "must be id, source, type, subject or data.<path>";
  const paths: [field: string, path: string | undefined][] = [
    ...input.by.map((path, i): [string, string] => [`by.${i}`, path]),
    ...Object.keys(input.where ?? {}).map((path): [string, string] => [`where.${path}`, path]),
    ["unique", input.unique],
    ["sum", input.sum],
  ];
  return paths.filter(([, path]) => path !== undefined && !parseFieldPath(path)).map(([field]) => ({ field, detail }));
}

function windowFaults(input: Filled): FieldFault[] {
  const faults: FieldFault[] = [];
  if (parseDuration(input.lateness) === null) faults.push({ field: "lateness", detail: DURATION_RULE });
  let finer: number | null = null;
  for (const [i, label] of input.windows.entries()) {
    const ms = parseDuration(label);
    if (ms === null) faults.push({ field: `windows.${i}`, detail: DURATION_RULE });
    else if (finer !== null && (ms <= finer || ms % finer !== 0)) {
      faults.push({ field: `windows.${i}`, detail: "must be a multiple of the window before it, and wider" });
    }
    finer = ms ?? finer;
  }
  for (const name of ["keep", "coldKeep"] as const) {
    for (const [label, duration] of Object.entries(input[name] ?? {})) {
      if (!input.windows.includes(label))
        faults.push({ field: `${name}.${label}`, detail: "is not one of the windows" });
      else if (parseDuration(duration) === null) faults.push({ field: `${name}.${label}`, detail: DURATION_RULE });
    }
  }
  return faults;
}

/** Fields that may change while a counter lives; a difference elsewhere would change what was already counted. */
const CHANGEABLE = new Set(["keep", "coldKeep", "lateness", "keysMax"]);

/** The fields in which two definitions of one name differ and that may not change. */
export function lockedDifferences(before: CounterDefinition, after: CounterDefinition): string[] {
  const a = comparable(before);
  const b = comparable(after);
  return Object.keys({ ...a, ...b }).filter((field) => JSON.stringify(a[field]) !== JSON.stringify(b[field]));
}

/** What a definition means, whatever its spelling: `"60m"` is `"1h"`, `"x"` is `["x"]`, lists of values are sets. */
function comparable(definition: CounterDefinition): Record<string, unknown> {
  const counter = compileCounter(definition, 0);
  const where = counter.where.map(({ path, values }) => [path.join("."), [...values].sort()] as const);
  const meaning: Record<string, unknown> = {
    ...definition,
    event: counter.types && [...new Set(counter.types)].sort(),
    windows: counter.windows.map(({ ms }) => ms),
    where: where.sort(([a], [b]) => (a < b ? -1 : 1)),
  };
  return Object.fromEntries(Object.entries(meaning).filter(([field]) => !CHANGEABLE.has(field)));
}
