import { Definitions } from "../../dist/counters/definitions.js";
import { CounterRegistry } from "../../dist/counters/registry.js";
import { createLogger } from "../../dist/log.js";
import { Connections } from "../../dist/redis/client.js";
import { partitionKeys } from "../../dist/redis/keys.js";
import { Scripts } from "../../dist/redis/scripts.js";
import { StreamMetrics } from "../../dist/stream/metrics.js";
import { Workers } from "../../dist/stream/workers.js";

/**
 * The built worker of one partition in a process of its own, which ends while it plans an event of the type `killer`:
 * as abruptly as when the system takes its memory away, with no chance to say anything.
 */

const forType = Definitions.prototype.forType;
Definitions.prototype.forType = function (type) {
  if (type === "killer") process.kill(process.pid, "SIGKILL");
  return forType.call(this, type);
};

const connections = new Connections({ kind: "single", options: JSON.parse(process.argv[2]) }, () => {});
const [client, subscriber] = [await connections.open("prompt"), await connections.open("subscriber")];
const shared = { connections, client, scripts: new Scripts(), partitions: partitionKeys(1) };
const workers = new Workers({
  ...shared,
  registry: await CounterRegistry.open({ ...shared, subscriber, onError: () => {} }),
  dedupeHorizonMs: 3_600_000,
  metrics: new StreamMetrics(),
  log: createLogger("silent"),
});
workers.start();
process.on("SIGTERM", async () => {
  await workers.stop();
  process.exit(0);
});
