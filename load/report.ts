import type { Baseline } from "./baselines.ts";
import type { RunOptions, RunResult } from "./run.ts";

/** All figures of the reference workload. */
export type Figures = ReturnType<typeof figuresOf>;

export function figuresOf(options: RunOptions, run: RunResult, baseline: Baseline) {
  const { events } = options;
  const perEvent = (amount: number) => amount / events;
  const micros = (seconds: number) => perEvent(seconds * 1e6);
  const { ids, cells, sketches, boards, indexes } = run.holdings;
  const cpu = {
    service: micros(run.cpu.service.own),
    redis: micros(run.cpu.redis.own),
    redisChildren: micros(run.cpu.redis.children),
    generator: micros(run.cpu.generator.own),
  };
  const redisPerCpuSecond = events / run.cpu.redis.own;
  return {
    options,
    exact: run.faults.length === 0,
    faults: run.faults,
    distinct: run.distinct,
    copies: run.copies,
    bytesPerEventOnTheWire: perEvent(run.bytes),
    eventsPerSecond: events / run.seconds,
    ingestedPerSecond: events / run.ingestSeconds,
    archive: run.archive && {
      bytesPerEvent: perEvent(run.archive.bytes),
      eventsPerSecond: events / run.archive.seconds,
    },
    cpuMicrosPerEvent: { ...cpu, total: cpu.service + cpu.redis + cpu.generator },
    othersCpuShare: run.othersCpu / run.seconds,
    redisMicrosPerEvent: {
      commands: mapValues(run.split.commands, perEvent),
      inScript: mapValues(run.split.script, perEvent),
      lua: perEvent(run.split.lua),
      outside: perEvent(run.split.outside),
    },
    redisBytes: {
      perId: ids.bytes / ids.members,
      perCell: cells.bytes / cells.members,
      perSketch: sketches.bytes / sketches.keys,
      perBoardEntry: boards.bytes / boards.members,
      perIndexEntry: indexes.bytes / indexes.members,
      usedMemoryPerEvent: perEvent(run.memory),
      holdings: run.holdings,
    },
    baseline: { ...baseline, redisEventsPerCpuSecond: redisPerCpuSecond },
    ratioToSets: redisPerCpuSecond / baseline.setsPerCpuSecond,
    ratioToLoggedSets: redisPerCpuSecond / baseline.loggedSetsPerCpuSecond,
    ratioToNaive: redisPerCpuSecond / baseline.naivePerCpuSecond,
    ratioToLoggedNaive: redisPerCpuSecond / baseline.loggedNaivePerCpuSecond,
    ratioToUpserts: baseline.upsertsPerCpuSecond && redisPerCpuSecond / baseline.upsertsPerCpuSecond,
    readySeconds: run.readySeconds,
  };
}

function mapValues(record: Readonly<Record<string, number>>, change: (value: number) => number) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

export const whole = (value: number) => Math.round(value).toLocaleString("en");
export const fixed = (value: number, digits = 2) => value.toFixed(digits);

export function printFigures(figures: Figures): void {
  const { options, cpuMicrosPerEvent: cpu, redisMicrosPerEvent: redis, redisBytes: bytes, baseline } = figures;
  const { holdings } = bytes;
  const of = (n: number, what: string) => `${whole(n)} ${what}`;
  section(`${whole(options.events)} events, ${whole(figures.copies)} of them copies`, [
    ["events/s, end to end", whole(figures.eventsPerSecond), "first request sent → all counts visible"],
    ["events/s, ingest alone", whole(figures.ingestedPerSecond), "… → last request answered"],
    ["bytes/event on the wire", fixed(figures.bytesPerEventOnTheWire, 1), `requests of ${options.batch}`],
  ]);
  if (figures.archive) {
    section("The lake, written by the same process", [
      ["events/s, archived", whole(figures.archive.eventsPerSecond), "first request sent → all in the lake"],
      ["bytes/event on disk", fixed(figures.archive.bytesPerEvent, 1), "Parquet with zstd"],
    ]);
  }
  section("CPU, µs per event", [
    ["service", fixed(cpu.service), "HTTP, validation, planning of batches"],
    ["redis", fixed(cpu.redis), `and ${fixed(cpu.redisChildren)} in rewrites of the append-only file`],
    ["generator", fixed(cpu.generator), "sending alone"],
    ["total", fixed(cpu.total), ""],
    ["others, % of a core", whole(figures.othersCpuShare * 100), "noise: all other processes during the run"],
  ]);
  section("Redis by command, µs of wall clock per event", [
    ...rows(redis.commands, "called by the service"),
    ["  Lua", fixed(redis.lua), "of evalsha, beyond the commands that it calls"],
    ...rows(redis.inScript, "of evalsha").map(([name, ...rest]): Row => [`  ${name}`, ...rest]),
    ["outside commands", fixed(redis.outside), "sockets, parsing, append-only file"],
  ]);
  section("Redis memory, bytes", [
    [
      "per remembered id",
      fixed(bytes.perId, 1),
      `${of(holdings.ids.members, "ids")} in ${of(holdings.ids.keys, "sets")}`,
    ],
    [
      "per cell",
      fixed(bytes.perCell, 1),
      `${of(holdings.cells.members, "cells")} in ${of(holdings.cells.keys, "hashes")}`,
    ],
    ["per sketch", fixed(bytes.perSketch, 1), of(holdings.sketches.keys, "sketches")],
    ["per board entry", fixed(bytes.perBoardEntry, 1), of(holdings.boards.members, "entries")],
    ["per index entry", fixed(bytes.perIndexEntry, 1), of(holdings.indexes.members, "entries")],
    ["used_memory per event", fixed(bytes.usedMemoryPerEvent, 1), "growth over the run"],
  ]);
  section("Against Redis itself, per second of Redis CPU", [
    ["events counted", whole(baseline.redisEventsPerCpuSecond), ""],
    [
      "SETs",
      whole(baseline.setsPerCpuSecond),
      `pipelined by 64, sent by ${baseline.setsBy}; ratio ${fixed(figures.ratioToSets, 3)}`,
    ],
    [
      "SETs, append-only file",
      whole(baseline.loggedSetsPerCpuSecond),
      `the same with what our Redis writes, too; ratio ${fixed(figures.ratioToLoggedSets, 3)}`,
    ],
    [
      "events, naive script",
      whole(baseline.naivePerCpuSecond),
      `one call per event; ours is ${fixed(figures.ratioToNaive)} times that`,
    ],
    [
      "  …, append-only file",
      whole(baseline.loggedNaivePerCpuSecond),
      `the same with what our Redis writes, too; ours is ${fixed(figures.ratioToLoggedNaive)} times that`,
    ],
    ...upsertRows(figures),
  ]);
  section("Start", [["ready after, s", fixed(figures.readySeconds), "with its Redis, from an empty directory"]]);
  section("Exactness", exactRows(figures.faults, "total, duplicates and top 10 against a recount"));
}

export type Row = readonly [name: string, value: string, remark: string];

/** Whether all was counted exactly; what was not, in words. */
export function exactRows(faults: readonly string[], remark: string): Row[] {
  return [["exact", faults.length === 0 ? "yes" : "NO", remark], ...faults.map((fault): Row => ["", "", fault])];
}

function upsertRows({ baseline, ratioToUpserts }: Figures): Row[] {
  const name = "events, Postgres upserts";
  if (baseline.upsertsPerCpuSecond === null || ratioToUpserts === null) return [[name, "-", "no server is installed"]];
  const remark = `counts alone, per second of its CPU; ours is ${fixed(ratioToUpserts)} times that`;
  return [[name, whole(baseline.upsertsPerCpuSecond), remark]];
}

const SMALLEST_SHOWN = 0.005;

function rows(values: Readonly<Record<string, number>>, remark: string): Row[] {
  return Object.entries(values)
    .filter(([, value]) => value >= SMALLEST_SHOWN)
    .map(([name, value]) => [name, fixed(value), remark]);
}

export function section(title: string, lines: readonly Row[]): void {
  const text = lines.map(([name, value, remark]) => `  ${name.padEnd(26)}${value.padStart(12)}  ${remark}`.trimEnd());
  process.stdout.write(`\n${title}\n${text.join("\n")}\n`);
}
