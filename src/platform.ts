import { KeyRing } from "./access/key-ring.ts";
import { Database } from "./cold/database.ts";
import type { Config } from "./config.ts";
import type { CounterDefinition } from "./core/counter.ts";
import { DEFAULT_COUNTER } from "./core/counter.ts";
import { parseCounter } from "./core/counter-parse.ts";
import { ConfigurationError } from "./core/errors.ts";
import { Problem } from "./core/problem.ts";
import { CounterRegistry } from "./counters/registry.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { connectionLog, type Logger } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Connections, type RedisClient, type RedisTarget } from "./redis/client.ts";
import { checkServer, openDeployment } from "./redis/deployment.ts";
import { startEmbeddedRedis } from "./redis/embedded/server.ts";
import { type PartitionKeys, partitionKeys } from "./redis/keys.ts";
import { Scripts } from "./redis/scripts.ts";

/** What every role stands on. */
export interface Platform {
  readonly config: Config;
  readonly log: Logger;
  readonly lifecycle: Lifecycle;
  readonly metrics: Metrics;
  readonly connections: Connections;
  readonly isCluster: boolean;
  /** Of lookups. Other roles open their own: none holds up another's commands. */
  readonly client: RedisClient;
  /** Of scripts: a lease is never lost behind a queue of reads. */
  readonly working: RedisClient;
  readonly subscriber: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly registry: CounterRegistry;
  readonly keys: KeyRing;
  readonly cold: Database;
  /** Of the fingerprints. */
  readonly secret: string;
}

/** Connects to Redis, or starts the embedded one, and checks that the deployment there fits the configuration. */
export async function openPlatform(
  config: Config,
  log: Logger,
  lifecycle: Lifecycle,
  onFatal: (reason: string) => void,
): Promise<Platform> {
  const target = config.redis ?? (await startEmbedded(config, log, lifecycle, onFatal));
  const connections = new Connections(target, connectionLog(log));
  lifecycle.onStop("close Redis connections", async () => connections.closeAll());
  const [client, working, subscriber] = await Promise.all([
    connections.open("prompt"),
    connections.open("prompt"),
    connections.open("subscriber"),
  ]);
  await checkServer(client, config.durability);
  const { secret } = await openDeployment(client, config.partitions);

  const scripts = new Scripts();
  const partitions = partitionKeys(config.partitions);
  const onError = (error: unknown) => log.warn({ err: error }, "cannot refresh the counter definitions");
  const registry = await CounterRegistry.open({ client: working, subscriber, scripts, partitions, onError });
  lifecycle.onStop("stop refreshing definitions", async () => registry.close());
  await putConfiguredCounters(registry, config.counters);
  const keys = await openKeys(config, { client: working, subscriber, scripts }, log);
  lifecycle.onStop("stop refreshing API keys", async () => keys.close());

  // Opened when it is first needed: neither a start nor a hot read waits for it.
  const cold = new Database({ url: config.databaseUrl, dataDir: config.dataDir });
  lifecycle.onStop("close cold storage", () => cold.close());
  const metrics = new Metrics();
  metrics.partitions.set(config.partitions);
  const { isCluster } = connections;
  const redis = { connections, isCluster, client, working, subscriber, scripts, partitions };
  return { config, log, lifecycle, metrics, ...redis, registry, keys, cold, secret };
}

async function startEmbedded(
  config: Config,
  log: Logger,
  lifecycle: Lifecycle,
  onFatal: (reason: string) => void,
): Promise<RedisTarget> {
  const redis = await startEmbeddedRedis({
    dataDir: config.dataDir,
    durability: config.durability.kind === "always" ? "always" : "everysec",
    log: (message) => log.info(message),
    onUnexpectedExit: (detail) => onFatal(`the embedded Redis ended: ${detail}`),
  });
  lifecycle.onStop("stop the embedded Redis", () => redis.stop());
  log.info({ version: redis.version, pid: redis.pid }, "embedded Redis is ready");
  return { kind: "single", options: { ...redis.address } };
}

/** Throws a ConfigurationError where everybody could reach the service, and nobody would need a key. */
async function openKeys(
  config: Config,
  redis: Pick<Platform, "client" | "subscriber" | "scripts">,
  log: Logger,
): Promise<KeyRing> {
  const { host, mayBeOpen, apiKeys: configured } = config;
  const onError = (error: unknown) => log.warn({ err: error }, "cannot refresh the API keys");
  const keys = await KeyRing.open({ ...redis, configured, mayBeOpen, now: Date.now, onError });
  if (!keys.isEmpty || mayBeOpen) return keys;
  keys.close();
  throw new ConfigurationError([
    `TALLYMARK_HOST: ${host} can be reached from outside and there is no API key; make one with "tallymark keys create", ` +
      "give TALLYMARK_API_KEYS_FILE, or use a loopback address or --insecure",
  ]);
}

/** The configuration's counters are put at every start; the default one only when nothing was ever defined. */
async function putConfiguredCounters(
  registry: CounterRegistry,
  counters: readonly CounterDefinition[] | null,
): Promise<void> {
  if (counters === null && registry.current.version > 0) return;
  for (const counter of counters ?? [parseCounter(DEFAULT_COUNTER) as CounterDefinition]) {
    try {
      await registry.put(counter);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      throw new ConfigurationError([`counters: ${counter.name}: ${error.message}`]);
    }
  }
}
