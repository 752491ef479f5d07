import { Command, InvalidArgumentError } from "commander";
import { loadConfig } from "../../config.ts";
import { parseDuration } from "../../core/duration.ts";
import { createLogger } from "../../log.ts";
import { processIo } from "../replay/io.ts";
import { reportStartFailure } from "../serve.ts";
import { withApiKey } from "../target.ts";
import { runDemo } from "./demo.ts";

interface DemoCommandOptions {
  readonly config?: string;
  readonly seed: number;
  readonly backfill: number;
  readonly apiKey?: string;
}

export function demoCommand(): Command {
  const command = new Command("demo")
    .description("run the service with a made-up shop that sends to it")
    .option("--config <file>", "configuration file (default: tallymark.config.json where there is one)")
    .option("--seed <n>", "the same seed makes the same events", parseSeed, 1)
    .option("--backfill <duration>", "how much of a past to make up", parseBackfill, 3_600_000);
  return withApiKey(command).action(demo);
}

/** Its data is its own, and its terminal is for the shop, unless the environment says otherwise. */
const DEFAULTS = { TALLYMARK_DATA_DIR: "./data-demo", TALLYMARK_LOG_LEVEL: "warn" };

async function demo({ config: file, seed, backfill: backfillMs, apiKey }: DemoCommandOptions): Promise<void> {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
  try {
    const config = loadConfig({ env: { ...DEFAULTS, ...process.env }, file });
    const log = createLogger(config.logLevel);
    let exitCode = 0;
    await runDemo({ config, seed, backfillMs, apiKey }, log, processIo(stop.signal), (reason) => {
      log.fatal(reason);
      exitCode = 1;
      stop.abort();
    });
    process.exit(exitCode);
  } catch (error) {
    process.exit(reportStartFailure(error));
  }
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(seed)) return seed;
  throw new InvalidArgumentError("must be a whole number.");
}

function parseBackfill(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms <= 24 * 3_600_000) return ms;
  throw new InvalidArgumentError("must be <n>s, <n>m, <n>h or 1d, at most a day.");
}
