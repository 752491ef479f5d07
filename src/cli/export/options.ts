import type { Counter } from "../../core/counter.ts";
import { parseTimeParameter } from "../../core/time.ts";
import { CommandFailure } from "../replay/io.ts";
import type { Service } from "../service.ts";
import { FORMATS, type Format } from "./formats.ts";
import type { ExportSpan } from "./rows.ts";

/** As they were typed. */
export interface ExportOptions {
  readonly counter: string;
  /** Absent: the finest. */
  readonly window?: string | undefined;
  readonly from: string;
  readonly to: string;
  readonly format: string;
  /** Absent: standard output. */
  readonly output?: string | undefined;
  readonly url: string;
}

export function parseFormat({ format }: ExportOptions): Format {
  const known = FORMATS.find((one) => one === format);
  if (!known) throw new CommandFailure(`--format: must be one of ${FORMATS.join(", ")}`);
  return known;
}

export async function findCounter(service: Service, name: string): Promise<Counter> {
  const counters = await service.counters();
  const counter = counters.find((one) => one.name === name);
  if (counter) return counter;
  const names = counters.map((one) => one.name).join(", ") || "no counter at all";
  throw new CommandFailure(`--counter: there is no "${name}", only ${names}`);
}

export function parseSpan({ windows }: Counter, { window: label, from, to }: ExportOptions): ExportSpan {
  const window = label === undefined ? windows[0] : windows.find((one) => one.label === label);
  if (!window) throw new CommandFailure(`--window: must be one of ${windows.map((one) => one.label).join(", ")}`);
  const span = { window, from: parseInstant("--from", from), to: parseInstant("--to", to) };
  if (span.from >= span.to) throw new CommandFailure("--from: must be before --to");
  return span;
}

function parseInstant(option: string, text: string): number {
  const time = parseTimeParameter(text);
  if (time === null) throw new CommandFailure(`${option}: must be RFC 3339 or epoch milliseconds, years 1970 to 9999`);
  return time;
}
