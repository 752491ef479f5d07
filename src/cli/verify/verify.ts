import { findInputs, type Input, readLines } from "../replay/input.ts";
import { type CliIo, CommandFailure } from "../replay/io.ts";
import { createProgress, type Progress } from "../replay/progress.ts";
import { parseServiceUrl } from "../replay/url.ts";
import { Service } from "../service.ts";
import { readArchived } from "./archived.ts";
import { compareCounter } from "./compare.ts";
import { generateEvents } from "./generated.ts";
import { readManifest } from "./manifest.ts";
import { Recount } from "./recount.ts";
import { DIFFERENCES_SHOWN, Report } from "./report.ts";

export interface VerifyOptions {
  /** `-` is standard input. */
  readonly files: readonly string[];
  /** A lake that is recounted as well: a folder or `s3://bucket/prefix`. */
  readonly archive?: string | undefined;
  /** The files are not events but manifests of generated runs. */
  readonly generated?: boolean;
  readonly url: string;
  /** The counters hold more than these files. */
  readonly subset: boolean;
}

/** The last line of the output. */
export interface VerifyResult {
  /** Acceptable events in the files, duplicates included. */
  readonly events: number;
  readonly distinct: number;
  readonly counters: number;
  /** Numbers that were compared. */
  readonly compared: number;
  readonly differences: number;
}

/**
 * Counts the events of the files and compares every counter of the service with that. Prints what differs, then a
 * summary. Throws a CommandFailure when the comparison cannot be made.
 */
export async function runVerify(options: VerifyOptions, io: CliIo): Promise<VerifyResult> {
  const { files, archive, generated = false, url, subset } = options;
  const service = new Service(parseServiceUrl(url), io);
  const runs = generated ? await Promise.all(files.map(readManifest)) : [];
  const inputs = generated ? [] : await findInputs(files, io);
  const recount = new Recount(await service.counters());
  const progress = createProgress(io);
  const report = new Report(subset, (line) => io.stdout.write(`${line}\n`));
  try {
    for (const input of inputs) await readInput(input, recount, progress, io);
    if (archive !== undefined) await readArchived(archive, recount, progress, io.clock.now());
    for (const run of runs) {
      for (const event of generateEvents(run)) recount.addLine(JSON.stringify(event), event.id, run.startedAt);
    }
    tellUncounted(recount, progress);
    progress.start("comparing", null);
    const onProgress = () => progress.update(0, `${report.compared} numbers, ${report.differences} differences`);
    for (const expected of recount.expected) await compareCounter(expected, { service, report, subset, onProgress });
  } finally {
    progress.stop();
  }
  const { compared, differences, less } = report;
  if (differences > DIFFERENCES_SHOWN) io.stdout.write(`and ${differences - DIFFERENCES_SHOWN} more differences\n`);
  if (less > 0) progress.notice(lateHint(less));
  const result = {
    events: recount.events,
    distinct: recount.distinct,
    counters: recount.expected.length,
    compared,
    differences,
  };
  io.stdout.write(`${JSON.stringify(result)}\n`);
  return result;
}

async function readInput(input: Input, recount: Recount, progress: Progress, io: CliIo): Promise<void> {
  progress.start(input.name, input.bytes);
  const now = io.clock.now();
  const onBytes = (bytes: number) => progress.update(bytes, `${recount.events} events`);
  for await (const lines of readLines(input, io.signal, onBytes)) {
    for (const { bytes, number } of lines)
      recount.addLine(bytes?.toString() ?? null, `${input.name}, line ${number}`, now);
  }
  if (io.signal.aborted) throw new CommandFailure("interrupted");
}

function tellUncounted({ rejected, timeless }: Recount, progress: Progress): void {
  if (timeless.count > 0) {
    throw new CommandFailure(
      `${timeless.count} events have no time, nor an id with a time inside; the service counts them by their arrival, ` +
        `which cannot be verified (the first: ${timeless.first})`,
    );
  }
  if (rejected.count > 0) {
    progress.notice(
      `Lines that are no acceptable event and are not counted: ${rejected.count}; the first: ${rejected.first}.`,
    );
  }
}

function lateHint(less: number): string {
  return (
    `The service counted less in ${less} places. Events older than a closed bucket are late and in no window, ` +
    "which this recount does not model: see GET /v1/late, or whether all events have been applied by now."
  );
}
