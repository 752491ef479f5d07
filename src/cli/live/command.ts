import { Command, InvalidArgumentError, Option } from "commander";
import { TOP_LIMIT_MAX } from "../../core/limits.ts";
import { type CliIo, EXIT_INTERRUPTED, exitCodeOf, processIo } from "../replay/io.ts";
import { withTarget } from "../target.ts";
import { runTail, type TailOptions } from "./tail.ts";
import { runTop, type TopOptions } from "./top.ts";

export function topCommand(): Command {
  const command = new Command("top")
    .description("watch the largest keys of a counter")
    .argument("<counter>")
    .option("--last <duration>", "how far back", "5m")
    .option("--limit <n>", "how many keys", parseLimit, 20)
    .addOption(new Option("--by <measure>", "what is ranked by").choices(["count", "sum"]).default("count"));
  return withTarget(command).action((counter: string, options: Omit<TopOptions, "counter">) =>
    watch((io) => runTop({ counter, ...options }, io)),
  );
}

export function tailCommand(): Command {
  const command = new Command("tail")
    .description("print a line whenever a counter has changed")
    .argument("<counter>")
    .option("--key <value...>", "one value for each field the counter counts by (default: the total)")
    .option("--window <window>", "one of the counter's windows (default: the finest)")
    .option("--last <duration>", "how far back", "5m");
  return withTarget(command).action((counter: string, options: Omit<TailOptions, "counter">) =>
    watch((io) => runTail({ counter, ...options }, io)),
  );
}

/** Runs until it is interrupted, or until whoever reads the output has seen enough (`| head`). */
async function watch(run: (io: CliIo) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let isInterrupted = false;
  process.once("SIGINT", () => {
    isInterrupted = true;
    stop.abort();
  });
  process.stdout.on("error", () => stop.abort());
  process.exitCode = await exitCodeOf(async () => {
    await run(processIo(stop.signal));
    return isInterrupted ? EXIT_INTERRUPTED : 0;
  });
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= TOP_LIMIT_MAX) return limit;
  throw new InvalidArgumentError(`must be a whole number from 1 to ${TOP_LIMIT_MAX}.`);
}
