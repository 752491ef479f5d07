import { Command, InvalidArgumentError } from "commander";
import { type Target, withKey, withTarget } from "../target.ts";
import { abortOnInterrupt, EXIT_INTERRUPTED, exitCodeOf, processIo } from "./io.ts";
import { runReplay } from "./replay.ts";

interface ReplayCommandOptions extends Target {
  readonly speed: number | "max";
  readonly unordered: boolean;
}

export function replayCommand(): Command {
  const command = new Command("replay")
    .description("send the events of NDJSON files to a running service")
    .argument("<file...>", "NDJSON, also gzip; - is standard input")
    .option("--speed <n>", "times the speed at which the events happened, or max", parseSpeed, "max")
    .option("--unordered", "keep several requests in flight; events may overtake each other", false);
  return withTarget(command).action(async (files: string[], { speed, apiKey, ...options }: ReplayCommandOptions) => {
    const signal = abortOnInterrupt();
    const io = withKey(processIo(signal), apiKey);
    process.exitCode = await exitCodeOf(async () => {
      await runReplay({ files, speed: speed === "max" ? null : speed, ...options }, io);
      return 0;
    });
    if (signal.aborted) process.exitCode = EXIT_INTERRUPTED;
  });
}

/** `max` stays a word: commander would turn `null` into an empty string. */
export function parseSpeed(text: string): number | "max" {
  if (text === "max") return text;
  const speed = Number(text);
  if (text.trim() === "" || !Number.isFinite(speed) || speed <= 0) {
    throw new InvalidArgumentError('must be a number above 0, or "max".');
  }
  return speed;
}
