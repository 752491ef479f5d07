import { Connections } from "../src/redis/client.ts";
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
import { type Expected, makeWorkload, recount, type Workload } from "./workload.ts";

export interface RunOptions {
  readonly seed: number;
  readonly events: number;
  readonly partitions: number;
  readonly batch: number;
  readonly connections: number;
  readonly profileDir: string | null;
}

export interface RunResult {
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
  /** Growth of Redis's memory, bytes. */
  readonly memory: number;
  /** What was not counted exactly, in words. */
  readonly faults: readonly string[];
}

const TOP = 10;

/** Starts a service, sends it the reference workload and measures what that took. */
export async function runWorkload(options: RunOptions): Promise<RunResult> {
  const service = await startService(options);
  try {
    const endsAt = Date.now();
    const workload = { seed: options.seed, events: options.events, endsAt };
    const { url } = service;
    const sender = await prepareSender({ workload, url, batch: options.batch, connections: options.connections });
    try {
      return await measure(service, sender, makeWorkload(workload));
    } finally {
      sender.stop();
    }
  } finally {
    await service.stop();
  }
}

async function measure(service: Service, sender: Sender, workload: Workload): Promise<RunResult> {
  const expected = recount(workload, TOP);
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
    const visibleAt = await untilVisible(service.url, workload, expected.count);
    const after = await readings();
    const busy = readMachineCpuTime() - machine;
    const redis = cpuBetween(before.redis, after.redis);
    const served = cpuBetween(before.service, after.service);
    return {
      ...(await verify(service, workload, expected)),
      ...rates(sent, visibleAt),
      requests: sender.requests,
      bytes: sender.bytes,
      cpu: { service: served, redis, generator: generated },
      othersCpu: busy - served.own - redis.own - generated.own,
      split: splitRedisTime(before.commands, after.commands, redis.own),
      memory: after.memory - before.memory,
      holdings: await measureKeys(client),
    };
  } finally {
    connections.closeAll();
  }
}

async function verify({ url }: Service, workload: Workload, expected: Expected) {
  return {
    distinct: expected.count,
    copies: workload.copies,
    faults: await findFaults(url, workload, expected),
  };
}

function rates({ startedAt, endedAt }: Sent, visibleAt: number) {
  return { ingestSeconds: (endedAt - startedAt) / 1_000, seconds: (visibleAt - startedAt) / 1_000 };
}
