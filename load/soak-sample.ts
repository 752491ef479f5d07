import type { RedisClient } from "../src/redis/client.ts";
import { readMetric } from "../test/support/metrics.ts";
import { readResidentMemory, readUsedMemory } from "./measure.ts";
import { type Holdings, measureKeys } from "./memory.ts";
import type { Service } from "./service.ts";

/** The state of a soak at one moment. Memory is in bytes. */
export interface Sample {
  /** Since the start, s. */
  readonly at: number;
  readonly sent: number;
  readonly rss: number;
  readonly heap: number;
  readonly redisRss: number;
  readonly redis: number;
  /** Stream entries that wait. */
  readonly waiting: number;
  readonly stream: number;
  /** By kind of key, where they were measured: once a minute, since every key is asked. */
  readonly holdings: Holdings | null;
}

const STREAM = "tm:{0}:stream";

export async function takeSample(
  service: Service,
  client: RedisClient,
  at: number,
  sent: number,
  withHoldings: boolean,
): Promise<Sample> {
  return {
    at,
    sent,
    rss: readResidentMemory(service.pid),
    heap: await readMetric(service.url, "tallymark_nodejs_heap_size_used_bytes"),
    redisRss: readResidentMemory(service.redisPid),
    redis: await readUsedMemory(client),
    waiting: await client.xlen(STREAM),
    stream: (await client.memory("USAGE", STREAM)) ?? 0,
    holdings: withHoldings ? await measureKeys(client) : null,
  };
}

/** What counters keep for as long as their buckets are kept: not a leak, however long it grows. */
export function keptBytes({ cells, sketches, boards, indexes }: Holdings): number {
  return cells.bytes + sketches.bytes + boards.bytes + indexes.bytes;
}
