import { Command } from "commander";
import { abortOnInterrupt, EXIT_INTERRUPTED, exitCodeOf, processIo } from "../replay/io.ts";
import { defaultServiceUrl } from "../replay/url.ts";
import { runExport } from "./export.ts";
import { FORMATS } from "./formats.ts";
import type { ExportOptions } from "./options.ts";

export function exportCommand(): Command {
  return new Command("export")
    .description("write the buckets of a counter to a file, for notebooks: one row a key and bucket")
    .requiredOption("--counter <name>", "which counter")
    .option("--window <width>", "which of its windows; the finest by default")
    .requiredOption("--from <time>", "RFC 3339 or epoch milliseconds")
    .requiredOption("--to <time>", "RFC 3339 or epoch milliseconds, exclusive")
    .option("--format <format>", FORMATS.join(", "), "csv")
    .option("--output <file>", "where to; standard output by default")
    .option("--url <url>", "where the service is", defaultServiceUrl())
    .action(async (options: ExportOptions) => {
      const signal = abortOnInterrupt();
      const io = { ...processIo(signal), stdout: process.stdout };
      const run = async () => {
        await runExport(options, io);
        return 0;
      };
      process.exitCode = await exitCodeOf(run);
      if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
    });
}
