import { Command } from "commander";
import { abortOnInterrupt, EXIT_INTERRUPTED, exitCodeOf, processIo } from "../replay/io.ts";
import { type Target, withKey, withTarget } from "../target.ts";
import { runExport } from "./export.ts";
import { FORMATS } from "./formats.ts";
import type { ExportOptions } from "./options.ts";

export function exportCommand(): Command {
  const command = new Command("export")
    .description("write the buckets of a counter to a file, for notebooks: one row a key and bucket")
    .requiredOption("--counter <name>", "which counter")
    .option("--window <width>", "which of its windows; the finest by default")
    .requiredOption("--from <time>", "RFC 3339 or epoch milliseconds")
    .requiredOption("--to <time>", "RFC 3339 or epoch milliseconds, exclusive")
    .option("--format <format>", FORMATS.join(", "), "csv")
    .option("--output <file>", "where to; standard output by default");
  return withTarget(command).action(async (options: ExportOptions & Target) => {
    const signal = abortOnInterrupt();
    const io = { ...withKey(processIo(signal), options.apiKey), stdout: process.stdout };
    const run = async () => {
      await runExport(options, io);
      return 0;
    };
    process.exitCode = await exitCodeOf(run);
    if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
  });
}
