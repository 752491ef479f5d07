import { type MessagePort, parentPort } from "node:worker_threads";
import { CounterRegistry } from "../counters/registry.ts";
import { connectionLog, createLogger } from "../log.ts";
import { Connections } from "../redis/client.ts";
import { partitionKeys } from "../redis/keys.ts";
import { Scripts } from "../redis/scripts.ts";
import { StreamMetrics } from "./metrics.ts";
import type { ThreadReport, ThreadRequest, ThreadSettings } from "./thread.ts";
import { Workers } from "./workers.ts";

/** What runs in the thread: see `WorkerThread`. */

const parent = parentPort as MessagePort;
const metrics = new StreamMetrics();
/** A stop that comes meanwhile waits for the start. */
let running: ReturnType<typeof start> | undefined;

parent.on("message", async (request: ThreadRequest) => {
  if (request.do === "start") {
    running = start(request.settings);
    await running;
    parent.postMessage("ready");
  } else if (request.do === "report") {
    await report(request.to);
  } else {
    await (await running)?.stop();
    parent.close();
  }
});

async function start({ redis, partitions, dedupeHorizonMs, logLevel }: ThreadSettings) {
  const log = createLogger(logLevel);
  const connections = new Connections(redis, connectionLog(log));
  const [client, subscriber] = await Promise.all([connections.open("prompt"), connections.open("subscriber")]);
  const platform = { client, scripts: new Scripts(), partitions: partitionKeys(partitions) };
  const onError = (error: unknown) => log.warn({ err: error }, "workers cannot refresh the counter definitions");
  const registry = await CounterRegistry.open({ ...platform, subscriber, onError });
  const workers = new Workers({ ...platform, connections, registry, dedupeHorizonMs, metrics, log });
  workers.start();
  return {
    workers,
    stop: async () => {
      await workers.stop();
      registry.close();
      connections.closeAll();
    },
  };
}

async function report(to: MessagePort): Promise<void> {
  const stoppedPartitions = (await running)?.workers.stoppedPartitions ?? 0;
  to.postMessage({ metrics: await metrics.registry.metrics(), stoppedPartitions } satisfies ThreadReport);
  to.close();
}
