import { Command } from "commander";
import { abortOnInterrupt, EXIT_INTERRUPTED, exitCodeOf, processIo } from "../replay/io.ts";
import { defaultServiceUrl } from "../replay/url.ts";
import { runVerify } from "./verify.ts";

export function verifyCommand(): Command {
  return new Command("verify")
    .description("count the events of NDJSON files anew and compare every counter of a running service with that")
    .argument("<file...>", "NDJSON, also gzip; - is standard input")
    .option("--subset", "the counters hold more than these files: counts and keys may exceed them", false)
    .option("--url <url>", "where the service is", defaultServiceUrl())
    .action(async (files: string[], { subset, url }: { subset: boolean; url: string }) => {
      const signal = abortOnInterrupt();
      const run = async () => ((await runVerify({ files, subset, url }, processIo(signal))).differences > 0 ? 1 : 0);
      process.exitCode = await exitCodeOf(run);
      if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
    });
}
