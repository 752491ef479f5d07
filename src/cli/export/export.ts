import type { Writable } from "node:stream";
import { type CliIo, CommandFailure } from "../replay/io.ts";
import { createProgress } from "../replay/progress.ts";
import { parseServiceUrl } from "../replay/url.ts";
import { Service } from "../service.ts";
import { openSink } from "./formats.ts";
import { type ExportOptions, findCounter, parseFormat, parseSpan } from "./options.ts";
import { openFile, openStream } from "./output.ts";
import { readRows } from "./rows.ts";

export interface ExportSummary {
  readonly rows: number;
  readonly keys: number;
  readonly seconds: number;
}

export interface ExportIo extends Omit<CliIo, "stdout"> {
  readonly stdout: Writable & { readonly isTTY?: boolean };
}

/**
 * Writes every bucket of a counter's window that holds anything, one row a key and bucket, and prints a summary to
 * standard error. A file gets its name once it is complete. Throws a CommandFailure when an option is wrong, or the
 * service cannot be read to the end.
 */
export async function runExport(options: ExportOptions, io: ExportIo): Promise<ExportSummary> {
  const service = new Service(parseServiceUrl(options.url), io);
  const format = parseFormat(options);
  if (format === "parquet" && options.output === undefined && io.stdout.isTTY) {
    throw new CommandFailure("--output: is needed, a terminal cannot show parquet");
  }
  const counter = await findCounter(service, options.counter);
  const span = parseSpan(counter, options);
  const started = io.clock.now();
  const output = options.output === undefined ? openStream(io.stdout) : await openFile(options.output);
  let [rows, keys] = [0, 0];
  const progress = createProgress(io);
  progress.start(counter.name, null);
  try {
    const sink = openSink(format, counter, output);
    await sink.start();
    for await (const some of readRows(service, counter, span, () => keys++)) {
      await sink.write(some);
      rows += some.length;
      progress.update(keys, `${keys} keys, ${rows} rows`);
    }
    await sink.end();
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  } finally {
    progress.stop();
  }
  const summary = { rows, keys, seconds: Math.round(io.clock.now() - started) / 1_000 };
  io.stderr.write(`${JSON.stringify(summary)}\n`);
  return summary;
}
