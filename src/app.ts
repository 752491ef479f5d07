import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import { Database } from "./cold/database.ts";
import { type CellRow, ColdStore } from "./cold/store.ts";
import type { Config } from "./config.ts";
import type { CounterDefinition } from "./core/counter.ts";
import { DEFAULT_COUNTER } from "./core/counter.ts";
import { parseCounter } from "./core/counter-parse.ts";
import { ConfigurationError } from "./core/errors.ts";
import { Problem } from "./core/problem.ts";
import { CounterRegistry } from "./counters/registry.ts";
import { counterRoutes } from "./counters/route.ts";
import { healthRoutes } from "./http/health.ts";
import { createServer } from "./http/server.ts";
import { Gate } from "./ingest/gate.ts";
import { Outcomes } from "./ingest/outcomes.ts";
import { Producer } from "./ingest/producer.ts";
import { ingestRoutes } from "./ingest/route.ts";
import { registerBoard } from "./jobs/board.ts";
import { Jobs, type JobsDependencies } from "./jobs/queues.ts";
import { Work, type WorkDependencies } from "./jobs/work.ts";
import { ledgerRoutes } from "./ledgers/route.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { Logger } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { queryRoutes } from "./query/route.ts";
import { Connections, type RedisClient, type RedisTarget } from "./redis/client.ts";
import { checkServer, openDeployment } from "./redis/deployment.ts";
import { startEmbeddedRedis } from "./redis/embedded/server.ts";
import { partitionKeys } from "./redis/keys.ts";
import { Scripts } from "./redis/scripts.ts";
import { Workers } from "./stream/workers.ts";

/** How long `durability: replicas:N` waits for the replicas, ms. */
const REPLICAS_TIMEOUT_MS = 2_000;
/** How long a stop waits for requests and batches that were taken, ms. */
const DRAIN_MS = 10_000;

export interface App {
  readonly url: string;
  /** Quiet, drain, close; everything is closed even when a step fails. */
  stop(): Promise<void>;
}

/** Brings up what the configuration's roles ask for. On failure everything that was started is stopped again. */
export async function startApp(config: Config, log: Logger, onFatal: (reason: string) => void): Promise<App> {
  const lifecycle = new Lifecycle(log, DRAIN_MS);
  try {
    return await assemble(config, log, lifecycle, onFatal);
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

async function assemble(
  config: Config,
  log: Logger,
  lifecycle: Lifecycle,
  onFatal: (reason: string) => void,
): Promise<App> {
  const target = config.redis ?? (await startEmbedded(config, log, lifecycle, onFatal));
  const connections = new Connections(target, connectionLog(log));
  lifecycle.onStop("close Redis connections", async () => connections.closeAll());
  // Lookups, writes of events, scripts and jobs each have a connection: none can hold up the others' commands, and a lease is
  // never lost behind a queue of reads.
  const [client, producing, working, exporting, subscriber] = await Promise.all([
    connections.open("prompt"),
    connections.open("prompt"),
    connections.open("prompt"),
    connections.open("prompt"),
    connections.open("subscriber"),
  ]);
  await checkServer(client, config.durability);
  const deployment = await openDeployment(client, config.partitions);

  const scripts = new Scripts();
  const metrics = new Metrics();
  const partitions = partitionKeys(config.partitions);
  const onError = (error: unknown) => log.warn({ err: error }, "cannot refresh the counter definitions");
  const registry = await CounterRegistry.open({ client: working, subscriber, scripts, partitions, onError });
  lifecycle.onStop("stop refreshing definitions", async () => registry.close());
  await putConfiguredCounters(registry, config.counters);

  // Opened when it is first needed: neither a start nor a hot read waits for it.
  const cold = new Database({ url: config.databaseUrl, dataDir: config.dataDir });
  lifecycle.onStop("close cold storage", () => cold.close());

  const workers = config.roles.has("worker")
    ? new Workers({
        connections,
        client: working,
        scripts,
        partitions,
        registry,
        dedupeHorizonMs: config.dedupeHorizonMs,
        metrics,
        log,
      })
    : null;
  if (workers) {
    if (config.redis === null) await freeLeases(client, partitions);
    workers.start();
    lifecycle.onStop("finish batches and give leases back", () => workers.stop());
  }

  const jobs = config.roles.has("jobs")
    ? await startJobs({ connections, client: exporting, scripts, partitions, registry, cold, metrics, log })
    : null;
  if (jobs) lifecycle.onStop("finish jobs", () => jobs.stop());

  const server = await createServer(log);
  await server.register(healthRoutes, {
    metrics,
    troubles: () => findTroubles(client, workers),
    notes: () => findNotes(cold),
  });
  if (jobs) await registerBoard(server, jobs.queues);
  if (config.roles.has("api")) {
    const outcomes = await Outcomes.subscribe(subscriber, randomUUID());
    const { durability } = config;
    const producer = new Producer(
      producing,
      durability.kind === "replicas" ? { replicas: durability.count, timeoutMs: REPLICAS_TIMEOUT_MS } : null,
    );
    const gate = await Gate.open(client, partitions, (error) => log.warn({ err: error }, "cannot look at the backlog"));
    lifecycle.onStop("stop looking at the backlog", async () => gate.close());
    const now = () => Date.now();
    await server.register(counterRoutes, { registry });
    await server.register(ingestRoutes, {
      registry,
      partitions,
      producer,
      outcomes,
      gate,
      secret: deployment.secret,
      metrics,
      now,
    });
    await server.register(ledgerRoutes, { client, scripts, partitions, registry, pass: () => gate.pass() });
    await server.register(queryRoutes, {
      registry,
      client,
      partitions,
      isCluster: connections.isCluster,
      cold,
      now,
    });
  }
  const url = await listen(server, config);
  lifecycle.onStop("finish requests", () => server.close());
  return { url, stop: () => lifecycle.stop() };
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

/** A connection that is down says so once a try; one line per change is enough. */
function connectionLog(log: Logger): (error: Error) => void {
  let last = "";
  return (error) => {
    if (error.message !== last) log.warn({ err: error }, "Redis connection failed");
    last = error.message;
  };
}

/** The lock of the data directory proves that no other worker lives, so leases of a killed one need not run out. */
async function freeLeases(client: RedisClient, partitions: ReturnType<typeof partitionKeys>): Promise<void> {
  await Promise.all(partitions.map(({ lease }) => client.del(lease)));
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

async function findTroubles(client: RedisClient, workers: Workers | null): Promise<string[]> {
  const troubles: string[] = [];
  await client.ping().catch((error: Error) => troubles.push(`Redis does not answer: ${error.message}`));
  const stopped = workers?.stoppedPartitions ?? 0;
  if (stopped > 0) troubles.push(`${stopped} partitions are stopped by an error; see the log`);
  return troubles;
}

/** Jobs that move closed buckets to cold storage. */
async function startJobs({
  cold,
  ...deps
}: Omit<JobsDependencies, "work"> & Omit<WorkDependencies, "store" | "onDiffering"> & { cold: Database }) {
  const { log, metrics } = deps;
  const store = new ColdStore(cold);
  const onDiffering = (rows: readonly CellRow[]) => {
    metrics.exportDiffering.inc(rows.length);
    const [first] = rows;
    log.error({ rows: rows.length, first }, "ALARM: cold storage holds buckets with other numbers than Redis");
  };
  return Jobs.start({ ...deps, work: new Work({ ...deps, store, onDiffering }) });
}

/** What does not keep the service from its work, but somebody should know. */
function findNotes({ failure }: Database): string[] {
  return failure ? [`cold storage does not answer: ${(failure as Error).message}`] : [];
}

async function listen(server: FastifyInstance, { host, port }: Config): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new ConfigurationError([`TALLYMARK_PORT: ${port} on ${host} is in use by another process`]);
  }
}
