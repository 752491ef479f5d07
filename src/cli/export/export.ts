import { rename, rm } from "node:fs/promises";
import type { Writable } from "node:stream";
import type { Counter } from "../../core/counter.ts";
import { parseTimeParameter } from "../../core/time.ts";
import { type CliIo, CommandFailure } from "../replay/io.ts";
import { createProgress } from "../replay/progress.ts";
import { parseServiceUrl } from "../replay/url.ts";
import { Service } from "../service.ts";
import { FORMATS, type Format, openSink } from "./formats.ts";
import { type ExportSpan, readRows } from "./rows.ts";

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

export interface ExportSummary {
  readonly rows: number;
  readonly keys: number;
  readonly seconds: number;
}

export interface ExportIo extends Omit<CliIo, "stdout"> {
  readonly stdout: Writable;
}

/**
 * Writes every bucket of a counter's window that holds anything, one row a key and bucket, and prints a summary to
 * standard error. A file gets its name once it is complete. Throws a CommandFailure when an option is wrong, or the
 * service cannot be read to the end.
 */
export async function runExport(options: ExportOptions, io: ExportIo): Promise<ExportSummary> {
  const service = new Service(parseServiceUrl(options.url), io);
  const format = parseFormat(options);
  const counter = await findCounter(service, options.counter);
  const span = parseSpan(counter, options);
  const started = io.clock.now();
  const draft = options.output === undefined ? null : `${options.output}.part`;
  let [rows, keys] = [0, 0];
  const progress = createProgress(io);
  progress.start(counter.name, null);
  try {
    const sink = openSink(format, counter, draft, io.stdout);
    for await (const some of readRows(service, counter, span, () => keys++)) {
      await sink.write(some);
      rows += some.length;
      progress.update(keys, `${keys} keys, ${rows} rows`);
    }
    await sink.close();
    if (draft !== null) await rename(draft, options.output as string);
  } catch (error) {
    if (draft !== null) await rm(draft, { force: true });
    throw error;
  } finally {
    progress.stop();
  }
  const summary = { rows, keys, seconds: Math.round(io.clock.now() - started) / 1_000 };
  io.stderr.write(`${JSON.stringify(summary)}\n`);
  return summary;
}

function parseFormat({ format, output }: ExportOptions): Format {
  if (!(FORMATS as readonly string[]).includes(format)) {
    throw new CommandFailure(`--format: must be one of ${FORMATS.join(", ")}`);
  }
  if (format === "parquet" && output === undefined) throw new CommandFailure("--output: is needed for parquet");
  return format as Format;
}

async function findCounter(service: Service, name: string): Promise<Counter> {
  const counters = await service.counters();
  const counter = counters.find((one) => one.name === name);
  if (counter) return counter;
  throw new CommandFailure(`--counter: there is no "${name}", only ${counters.map((one) => one.name).join(", ")}`);
}

function parseSpan(counter: Counter, { window: label, from, to }: ExportOptions): ExportSpan {
  const window = label === undefined ? counter.windows[0] : counter.windows.find((one) => one.label === label);
  if (!window) {
    throw new CommandFailure(`--window: must be one of ${counter.windows.map((one) => one.label).join(", ")}`);
  }
  const span = { window, from: parseInstant("--from", from), to: parseInstant("--to", to) };
  if (span.from >= span.to) throw new CommandFailure("--from: must be before --to");
  return span;
}

function parseInstant(option: string, text: string): number {
  const time = parseTimeParameter(text);
  if (time === null) throw new CommandFailure(`${option}: must be RFC 3339 or epoch milliseconds, years 1970 to 9999`);
  return time;
}
