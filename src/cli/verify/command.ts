import { Command } from "commander";
import { abortOnInterrupt, EXIT_INTERRUPTED, exitCodeOf, processIo } from "../replay/io.ts";
import { type Target, withKey, withTarget } from "../target.ts";
import { runVerify } from "./verify.ts";

export function verifyCommand(): Command {
  const command = new Command("verify")
    .description("count the events of NDJSON files anew and compare every counter of a running service with that")
    .argument("[file...]", "NDJSON, also gzip; - is standard input")
    .option("--archive <lake>", "also the events of a lake: a folder, or s3://bucket/prefix")
    .option("--generated", "the files are what load scripts wrote about their runs, whose events are made anew", false)
    .option("--subset", "the counters hold more than these files: counts and keys may exceed them", false);
  return withTarget(command).action(
    async (files: string[], options: { archive?: string; generated: boolean; subset: boolean } & Target) => {
      if (files.length === 0 && options.archive === undefined) command.error("error: give files, or --archive");
      const signal = abortOnInterrupt();
      const io = withKey(processIo(signal), options.apiKey);
      const run = async () => ((await runVerify({ files, ...options }, io)).differences > 0 ? 1 : 0);
      process.exitCode = await exitCodeOf(run);
      if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
    },
  );
}
