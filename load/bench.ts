import { parseArgs } from "node:util";
import { meanOf, measureBaseline } from "./baselines.ts";
import { figuresOf, printFigures } from "./report.ts";
import { type RunOptions, runWorkload } from "./run.ts";
import { makeWorkload } from "./workload.ts";

/** How to run this and read what it prints: README.md beside it. */

function readOptions(): RunOptions {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      events: text,
      partitions: text,
      batch: text,
      connections: text,
      seed: text,
      profile: text,
      archive: { type: "boolean" },
    },
  });
  const whole = (name: "events" | "partitions" | "batch" | "connections" | "seed", fallback: number) => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: must be a whole number from 1`);
    return value;
  };
  return {
    events: whole("events", 1_000_000),
    partitions: whole("partitions", 1),
    batch: whole("batch", 500),
    connections: whole("connections", 4),
    seed: whole("seed", 1),
    profileDir: values.profile ?? null,
    archive: values.archive ?? false,
  };
}

const say = (text: string) => process.stderr.write(`${text}\n`);

const options = readOptions();
const sample = makeWorkload({ seed: options.seed, events: Math.min(options.events, 100_000), endsAt: Date.now() });
say("baseline: SETs and a naive script on a plain Redis …");
const before = await measureBaseline(sample);
say(`the workload: ${options.events} events …`);
const run = await runWorkload(options);
say("the baseline once more …");
const after = await measureBaseline(sample);
printFigures(figuresOf(options, run, meanOf(before, after)));
if (run.faults.length > 0) process.exitCode = 1;
