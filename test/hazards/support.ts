import { Redis } from "ioredis";
import { pino } from "pino";
import { CounterRegistry } from "../../src/counters/registry.ts";
import { StreamMetrics } from "../../src/stream/metrics.ts";
import { Workers } from "../../src/stream/workers.ts";
import type { Harness } from "../support/harness.ts";
import type { TestRedis } from "../support/redis.ts";

export interface RunningWorkers {
  readonly workers: Workers;
  readonly metrics: StreamMetrics;
  /** Messages of errors and worse, as an operator would be woken by. */
  readonly alarms: string[];
  stop(): Promise<void>;
}

/** The workers of a process, on connections and with a copy of the definitions of their own. */
export async function startWorkers(
  { connections }: Pick<TestRedis, "connections">,
  harness: Pick<Harness, "scripts" | "partitions">,
): Promise<RunningWorkers> {
  const [client, subscriber] = [await connections.open("prompt"), await connections.open("subscriber")];
  const { scripts, partitions } = harness;
  const registry = await CounterRegistry.open({ client, subscriber, scripts, partitions, onError: () => {} });
  const alarms: string[] = [];
  const log = pino({ level: "error" }, { write: (line) => void alarms.push(JSON.parse(line).msg) });
  const metrics = new StreamMetrics();
  const dedupeHorizonMs = 3_600_000;
  const workers = new Workers({
    connections,
    client,
    scripts,
    partitions,
    registry,
    dedupeHorizonMs,
    metrics,
    log,
  });
  workers.start();
  const stop = async () => {
    await workers.stop();
    registry.close();
    for (const one of [client, subscriber]) connections.close(one);
  };
  return { workers, metrics, alarms, stop };
}

/** Value of a metric's sample, summed over its labels. */
export async function metric(metrics: StreamMetrics, name: string): Promise<number> {
  const found = await metrics.registry.getSingleMetric(name)?.get();
  if (!found) throw new Error(`no metric ${name}`);
  return found.values.reduce((sum, { value }) => sum + value, 0);
}

/** Count of a counter's total over all time. */
export async function countAll(harness: Harness, name = "all"): Promise<number> {
  const subject = { owner: "total", shown: { key: null } } as const;
  const span = { from: 0, to: Date.parse("2100-01-01T00:00:00Z") };
  return (await harness.lookups.value({ counter: harness.counter(name), subject, span })).count as number;
}

/** Process number of the Redis behind a socket. */
export async function redisPid(socket: string): Promise<number> {
  const client = new Redis({ path: socket });
  try {
    return Number(/^process_id:(\d+)/m.exec(await client.info("server"))?.[1]);
  } finally {
    client.disconnect();
  }
}
