import { parseArgs } from "node:util";
import { denseRows, measureDenseCells } from "./dense-cells.ts";
import { exportRows, measureExport } from "./export.ts";
import { growthRows, measureGrowth } from "./growth.ts";
import { latencyRows, measureLatency } from "./latency.ts";
import { printFigures, type Row, section } from "./report.ts";
import { type RunOptions, runWorkload } from "./run.ts";
import { measureUnderIngest, underIngestRows } from "./under-ingest.ts";
import { measureW1 } from "./w1.ts";
import { measureW2, w2Rows } from "./w2.ts";
import { measureW3, w3Rows } from "./w3.ts";
import { W1 } from "./workload.ts";

/** How to run this and read what it prints: README.md beside it. */

function readOptions(): { readonly only: string | undefined; readonly options: RunOptions } {
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
      only: text,
    },
  });
  const whole = (name: "events" | "partitions" | "batch" | "connections" | "seed", fallback: number) => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: must be a whole number from 1`);
    return value;
  };
  const options = {
    events: whole("events", 1_000_000),
    partitions: whole("partitions", 1),
    batch: whole("batch", 500),
    connections: whole("connections", 4),
    seed: whole("seed", 1),
    profileDir: values.profile ?? null,
    archive: values.archive ?? false,
  };
  return { only: values.only, options };
}

const { only, options } = readOptions();

let measuredRate: number | undefined;
/** Events that are sent to learn the rate where the reference workload is left out. */
const RATE_EVENTS = 200_000;

/** Events/s of the reference workload, end to end. */
async function maximumRate(): Promise<number> {
  if (measuredRate === undefined) {
    const events = Math.min(options.events, RATE_EVENTS);
    measuredRate = events / (await runWorkload({ ...options, events, profileDir: null, archive: false }, W1)).seconds;
  }
  return measuredRate;
}

/** Measures a part and prints it under its title. */
const part =
  <F extends object>(title: string, measure: () => Promise<F>, rows: (figures: F) => readonly Row[]) =>
  async (): Promise<object> => {
    const figures = await measure();
    section(title, rows(figures));
    return figures;
  };

/** In this order. */
const parts: Readonly<Record<string, () => Promise<object>>> = {
  w1: async () => {
    const figures = await measureW1(options);
    measuredRate = figures.eventsPerSecond;
    printFigures(figures);
    return figures;
  },
  w2: part("W2: three counters", () => measureW2(options), w2Rows),
  w3: part("W3: one event a request, 64 connections", () => measureW3(options), w3Rows),
  latency: part(
    "From accepted to visible, at half of the reference workload's rate",
    async () => measureLatency(options, await maximumRate()),
    latencyRows,
  ),
  lookups: part(
    "Lookups while events come at full speed",
    async () => measureUnderIngest(options, await maximumRate()),
    underIngestRows,
  ),
  export: part(
    "PING beside export and forgetting, ms",
    () => measureExport(Math.ceil(options.events / 10)),
    exportRows,
  ),
  memory: part("Redis memory of dense cells, bytes", measureDenseCells, denseRows),
  growth: part(
    "Redis CPU with more partitions and primaries, µs per event",
    () => measureGrowth(options.events / 20),
    growthRows,
  ),
};

const names = Object.keys(parts);
const chosen = only?.split(",") ?? names;
if (!chosen.every((name) => names.includes(name))) throw new Error(`--only: must be some of ${names.join(",")}`);

const figures: Record<string, object> = {};
for (const [name, measure] of Object.entries(parts)) {
  if (!chosen.includes(name)) continue;
  process.stderr.write(`${name} …\n`);
  figures[name] = await measure();
}
process.stdout.write(`\n${JSON.stringify(figures)}\n`);
const isExact = Object.values(figures).every((part: { faults?: readonly string[] }) => !part.faults?.length);
// Once, a client of a cluster that had been closed kept the process from ending.
process.exit(isExact ? 0 : 1);
