import { measureSets } from "./baselines.ts";
import { exactRows, fixed, type Row, whole } from "./report.ts";
import { type RunOptions, runWorkload } from "./run.ts";
import { W2 } from "./workload.ts";

/** Enough to fill the boards; the reference workload's number would take three times as long as it does. */
const EVENTS_MAX = 300_000;

export interface W2Figures {
  readonly events: number;
  readonly faults: readonly string[];
  readonly eventsPerSecond: number;
  readonly ingestedPerSecond: number;
  readonly cpuMicrosPerEvent: { readonly service: number; readonly redis: number; readonly redisChildren: number };
  readonly othersCpuShare: number;
  readonly redisEventsPerCpuSecond: number;
  readonly setsBy: string;
  readonly setsPerCpuSecond: number;
  readonly ratioToSets: number;
}

/** Three counters for each event, with the SETs of the same minute. */
export async function measureW2(options: RunOptions): Promise<W2Figures> {
  const events = Math.min(options.events, EVENTS_MAX);
  const before = await measureSets();
  const run = await runWorkload({ ...options, events, profileDir: null, archive: false }, W2);
  const after = await measureSets();
  const setsPerCpuSecond = (before.perCpuSecond + after.perCpuSecond) / 2;
  const redisEventsPerCpuSecond = events / run.cpu.redis.own;
  const micros = (seconds: number) => (seconds * 1e6) / events;
  return {
    events,
    faults: run.faults,
    eventsPerSecond: events / run.seconds,
    ingestedPerSecond: events / run.ingestSeconds,
    cpuMicrosPerEvent: {
      service: micros(run.cpu.service.own),
      redis: micros(run.cpu.redis.own),
      redisChildren: micros(run.cpu.redis.children),
    },
    othersCpuShare: run.othersCpu / run.seconds,
    redisEventsPerCpuSecond,
    setsBy: before.by,
    setsPerCpuSecond,
    ratioToSets: redisEventsPerCpuSecond / setsPerCpuSecond,
  };
}

export function w2Rows(figures: W2Figures): Row[] {
  const { cpuMicrosPerEvent: cpu } = figures;
  return [
    ["events/s, end to end", whole(figures.eventsPerSecond), `of ${whole(figures.events)}, each in three counters`],
    ["events/s, ingest alone", whole(figures.ingestedPerSecond), ""],
    ["service, µs per event", fixed(cpu.service), "CPU"],
    ["redis, µs per event", fixed(cpu.redis), `CPU, and ${fixed(cpu.redisChildren)} in rewrites`],
    ["others, % of a core", whole(figures.othersCpuShare * 100), "noise"],
    ["events, per s of Redis CPU", whole(figures.redisEventsPerCpuSecond), ""],
    [
      "SETs, per s of Redis CPU",
      whole(figures.setsPerCpuSecond),
      `sent by ${figures.setsBy}; ratio ${fixed(figures.ratioToSets, 3)}`,
    ],
    ...exactRows(figures.faults, "totals, duplicates and top 10 of all three against a recount"),
  ];
}
