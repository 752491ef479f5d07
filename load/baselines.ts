import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connections } from "../src/redis/client.ts";
import { type EmbeddedRedis, startEmbeddedRedis } from "../src/redis/embedded/server.ts";
import { findPostgres, startTestPostgres } from "../test/support/postgres.ts";
import { cpuBetween, readCpuTime } from "./measure.ts";
import { applyNaively } from "./naive.ts";
import { loadSets, type SetLoad } from "./set-load.ts";
import { openUpserts } from "./upserts.ts";
import type { Workload } from "./workload.ts";

/** What Redis can do on this machine in this minute: noise and clock rates divide out of a ratio to it. */
export interface Baseline {
  readonly setsBy: SetLoad["by"];
  readonly setsPerCpuSecond: number;
  /** With an append-only file, as the service's own Redis has one. */
  readonly loggedSetsPerCpuSecond: number;
  readonly naivePerCpuSecond: number;
  readonly loggedNaivePerCpuSecond: number;
  /** `null` where no Postgres server is installed. */
  readonly upsertsPerCpuSecond: number | null;
}

/** Events applied by each of the other ways. */
const BASELINE_EVENTS = 100_000;

/** As redis-benchmark would meet a server: no append-only file, which flatters the baselines, not us. */
const PLAIN = ["--appendonly", "no"];
/** With an append-only file, as ours. */
const LOGGED: readonly string[] = [];

export function measureSets(
  extraArgs: readonly string[] = PLAIN,
): Promise<{ readonly by: SetLoad["by"]; readonly perCpuSecond: number }> {
  return withRedis(async (redis) => {
    const before = readCpuTime(redis.pid);
    const { by, sets } = await loadSets(redis.address);
    return { by, perCpuSecond: sets / cpuBetween(before, readCpuTime(redis.pid)).own };
  }, extraArgs);
}

export async function measureBaseline(workload: Workload): Promise<Baseline> {
  const sets = await measureSets();
  const loggedSets = await measureSets(LOGGED);
  const naive = await measureNaive(workload, PLAIN);
  const loggedNaive = await measureNaive(workload, LOGGED);
  return {
    setsBy: sets.by,
    setsPerCpuSecond: sets.perCpuSecond,
    loggedSetsPerCpuSecond: loggedSets.perCpuSecond,
    naivePerCpuSecond: naive,
    loggedNaivePerCpuSecond: loggedNaive,
    upsertsPerCpuSecond: await measureUpserts(workload),
  };
}

/** Events that a script applies one by one, per second of Redis's CPU. */
function measureNaive(workload: Workload, extraArgs: readonly string[]): Promise<number> {
  return withRedis(async (redis) => {
    const connections = new Connections({ kind: "single", options: { ...redis.address } }, () => {});
    try {
      const client = await connections.open("prompt");
      const before = readCpuTime(redis.pid);
      const events = await applyNaively(client, workload, BASELINE_EVENTS);
      return events / cpuBetween(before, readCpuTime(redis.pid)).own;
    } finally {
      connections.closeAll();
    }
  }, extraArgs);
}

/** Of the process that runs the statements alone: what the server's others do comes on top. */
async function measureUpserts(workload: Workload): Promise<number | null> {
  const bin = await findPostgres();
  if (!bin) return null;
  const server = await startTestPostgres(bin);
  try {
    const upserts = await openUpserts(server.url);
    try {
      const before = readCpuTime(upserts.pid);
      const events = await upserts.apply(workload, BASELINE_EVENTS);
      return events / cpuBetween(before, readCpuTime(upserts.pid)).own;
    } finally {
      await upserts.close();
    }
  } finally {
    await server.stop();
  }
}

export function meanOf(a: Baseline, b: Baseline): Baseline {
  return {
    setsBy: a.setsBy,
    setsPerCpuSecond: (a.setsPerCpuSecond + b.setsPerCpuSecond) / 2,
    loggedSetsPerCpuSecond: (a.loggedSetsPerCpuSecond + b.loggedSetsPerCpuSecond) / 2,
    naivePerCpuSecond: (a.naivePerCpuSecond + b.naivePerCpuSecond) / 2,
    loggedNaivePerCpuSecond: (a.loggedNaivePerCpuSecond + b.loggedNaivePerCpuSecond) / 2,
    upsertsPerCpuSecond:
      a.upsertsPerCpuSecond === null || b.upsertsPerCpuSecond === null
        ? null
        : (a.upsertsPerCpuSecond + b.upsertsPerCpuSecond) / 2,
  };
}

/** A fresh server; what is not said in the arguments is as in the embedded one. */
export async function withRedis<T>(
  work: (redis: EmbeddedRedis) => Promise<T>,
  extraArgs: readonly string[] = PLAIN,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), "tallymark-bench-"));
  try {
    const redis = await startEmbeddedRedis({ dataDir, durability: "everysec", extraArgs });
    try {
      return await work(redis);
    } finally {
      await redis.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
