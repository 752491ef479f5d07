import { Command } from "commander";
import { abortOnInterrupt, EXIT_INTERRUPTED, exitCodeOf, processIo } from "../replay/io.ts";
import { type Target, withKey, withTarget } from "../target.ts";
import { runRebuild } from "./rebuild.ts";

export function rebuildCommand(): Command {
  const command = new Command("rebuild")
    .description(
      "have a service count a counter anew from its archived events, and put that in the place of what it was",
    )
    .argument("<counter>")
    .option("--from <time>", "RFC 3339 or epoch milliseconds; from the first archived event by default")
    .option("--to <time>", "the same, exclusive; to the last event by default");
  return withTarget(command).action(async (counter: string, options: { from?: string; to?: string } & Target) => {
    const signal = abortOnInterrupt();
    const io = withKey(processIo(signal), options.apiKey);
    process.exitCode = await exitCodeOf(async () => {
      await runRebuild({ counter, ...options }, io);
      return 0;
    });
    if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
  });
}
