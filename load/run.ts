import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Connections } from "../src/redis/client.ts";
import { readMetric } from "../test/support/metrics.ts";
import { findFaults, untilVisible } from "./lookups.ts";
import {
  type CpuTime,
  cpuBetween,
  type RedisSplit,
  readCommandTimes,
  readCpuTime,
  readMachineCpuTime,
  readUsedMemory,
  splitRedisTime,
} from "./measure.ts";
import { type Holdings, measureKeys } from "./memory.ts";
import { prepareSender, type Sender, type Sent } from "./sender.ts";
import { type Service, startService } from "./service.ts";
import { type Expected, type Load, makeWorkload, recount, type Workload } from "./workload.ts";

export interface RunOptions {
  readonly seed: number;
  readonly events: number;
  readonly partitions: number;
  readonly batch: number;
  readonly connections: number;
  readonly profileDir: string | null;
  /** Whether the same process archives to a folder; it is measured until all is there. */
  readonly archive: boolean;
}

export interface RunResult {
  /** From the service's start to its being ready, seconds. */
  readonly readySeconds: number;
  readonly requests: number;
  readonly bytes: number;
  readonly distinct: number;
  readonly copies: number;
  /** From the first request sent to the last answer, and to all events visible, seconds. */
  readonly ingestSeconds: number;
  readonly seconds: number;
  readonly cpu: { readonly service: CpuTime; readonly redis: CpuTime; readonly generator: CpuTime };
  /** Of all other processes meanwhile, seconds: how noisy the machine was. */
  readonly othersCpu: number;
  readonly split: RedisSplit;
  readonly holdings: Holdings;
  /** Bytes on disk, and from the first request sent until everything is there, seconds. */
  readonly archive: { readonly bytes: number; readonly seconds: number } | null;
  /** Growth of Redis's memory, bytes. */
  readonly memory: number;
  /** What was not counted exactly, in words. */
  readonly faults: readonly string[];
}

const TOP = 10;

/** Starts a service, sends it the workload and measures what that took. */
export async function runWorkload(options: RunOptions, { counters, countries }: Load): Promise<RunResult> {
  const lake = await mkdtemp(join(tmpdir(), "tallymark-bench-lake-"));
  const env = options.archive ? { TALLYMARK_ARCHIVE: lake } : {};
  const service = await startService({ ...options, counters, env });
  try {
    const endsAt = Date.now();
    const preparation = { seed: options.seed, events: options.events, endsAt, countries };
    const { batch, connections } = options;
    const sender = await prepareSender({ workload: preparation, url: service.url, batch, connections });
    try {
      const workload = makeWorkload(preparation);
      const expected = counters.map((counter) => recount(workload, counter, TOP));
      return await measure(service, sender, workload, expected, options.archive);
    } finally {
      sender.stop();
    }
  } finally {
    await service.stop();
    await rm(lake, { recursive: true, force: true });
  }
}

async function measure(
  service: Service,
  sender: Sender,
  workload: Workload,
  expected: readonly Expected[],
  isArchived: boolean,
): Promise<RunResult> {
  const connections = new Connections({ kind: "single", options: { path: service.redisSocket } }, () => {});
  try {
    const client = await connections.open("prompt");
    const readings = async () => ({
      commands: await readCommandTimes(client),
      memory: await readUsedMemory(client),
      service: readCpuTime(service.pid),
      redis: readCpuTime(service.redisPid),
    });
    const before = await readings();
    const generator = readCpuTime(sender.pid);
    const machine = readMachineCpuTime();
    const sent = await sender.send();
    const generated = cpuBetween(generator, readCpuTime(sender.pid));
    let visibleAt = sent.endedAt;
    for (const each of expected) visibleAt = await untilVisible(service.url, workload, each);
    const archive = isArchived ? await untilArchived(service.url, workload.events) : null;
    const archivedAt = performance.timeOrigin + performance.now();
    const after = await readings();
    const busy = readMachineCpuTime() - machine;
    const redis = cpuBetween(before.redis, after.redis);
    const served = cpuBetween(before.service, after.service);
    return {
      distinct: workload.events - workload.copies,
      copies: workload.copies,
      faults: await findFaults(service.url, workload, expected),
      ...rates(sent, visibleAt),
      readySeconds: service.readySeconds,
      requests: sender.requests,
      bytes: sender.bytes,
      cpu: { service: served, redis, generator: generated },
      othersCpu: busy - served.own - redis.own - generated.own,
      split: splitRedisTime(before.commands, after.commands, redis.own),
      memory: after.memory - before.memory,
      archive: archive && { ...archive, seconds: (archivedAt - sent.startedAt) / 1_000 },
      holdings: await measureKeys(client),
    };
  } finally {
    connections.closeAll();
  }
}

const ARCHIVED_MAX_MS = 300_000;

async function untilArchived(url: string, events: number): Promise<{ bytes: number }> {
  const until = performance.now() + ARCHIVED_MAX_MS;
  for (;;) {
    if ((await readMetric(url, "tallymark_archive_events_total")) >= events) {
      return { bytes: await readMetric(url, "tallymark_archive_bytes_total") };
    }
    if (performance.now() > until) throw new Error("not everything was archived in time");
    await delay(100);
  }
}

function rates({ startedAt, endedAt }: Sent, visibleAt: number) {
  return { ingestSeconds: (endedAt - startedAt) / 1_000, seconds: (visibleAt - startedAt) / 1_000 };
}
