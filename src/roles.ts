import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";
import type { Quota } from "./access/quota.ts";
import { keyRoutes } from "./access/route.ts";
import { Alerts } from "./alerts/alerts.ts";
import { AlertLog } from "./alerts/log.ts";
import { alertRoutes } from "./alerts/route.ts";
import { WebhookSender } from "./alerts/webhook.ts";
import { LedgerArchive } from "./cold/archive.ts";
import { type CellRow, ColdStore } from "./cold/store.ts";
import { counterRoutes } from "./counters/route.ts";
import { dashboardRoutes } from "./http/dashboard.ts";
import { referenceRoutes } from "./http/reference.ts";
import { Gate } from "./ingest/gate.ts";
import { Outcomes } from "./ingest/outcomes.ts";
import { Producer } from "./ingest/producer.ts";
import { ingestRoutes } from "./ingest/route.ts";
import { Rebuilds } from "./jobs/lake.ts";
import { Observer } from "./jobs/observer.ts";
import { Jobs } from "./jobs/queues.ts";
import { rebuildRoutes } from "./jobs/rebuild-route.ts";
import { Work } from "./jobs/work.ts";
import { Archivers } from "./lake/archivers.ts";
import { openLake } from "./lake/location.ts";
import { Rebuilder } from "./lake/rebuild.ts";
import type { LakeLocation } from "./lake/store.ts";
import { LakeTidier } from "./lake/tidy.ts";
import { ledgerRoutes } from "./ledgers/route.ts";
import { liveRoutes } from "./live/route.ts";
import { Stats } from "./live/stats.ts";
import type { Platform } from "./platform.ts";
import { Lookups } from "./query/lookups.ts";
import { queryRoutes } from "./query/route.ts";
import type { RedisClient } from "./redis/client.ts";
import { isArchiving, leaveArchive } from "./redis/commands/lake.ts";
import { ALERTS, type PartitionKeys } from "./redis/keys.ts";
import { timeAt } from "./redis/time.ts";
import type { WorkerThread } from "./stream/thread.ts";

/** What each role runs, on a platform. */

/** How long `durability: replicas:N` waits for the replicas, ms. */
const REPLICAS_TIMEOUT_MS = 2_000;
/** The built dashboard, from here and from the built `roles.js` alike. */
const DASHBOARD_DIRECTORY = fileURLToPath(new URL("../dist/dashboard", import.meta.url));

/** Role `worker`: applies what is on the streams. */
export async function startWorkers(platform: Platform, thread: WorkerThread): Promise<void> {
  const { config, lifecycle, log, client, connections, partitions } = platform;
  const { dedupeHorizonMs } = config;
  lifecycle.onStop("finish batches and give leases back", () => thread.stop());
  if (config.redis === null) await freeLeases(client, partitions);
  await thread.start({
    redis: connections.target,
    partitions: partitions.length,
    dedupeHorizonMs,
    logLevel: log.level,
  });
}

/** The lock of the data directory proves that no other worker lives, so leases of a killed one need not run out. */
async function freeLeases(client: RedisClient, partitions: readonly PartitionKeys[]): Promise<void> {
  await Promise.all(partitions.flatMap(({ lease, archiveLease }) => [client.del(lease), client.del(archiveLease)]));
}

/** Role `archive`: writes what is on the streams to the lake. */
export async function startArchivers(platform: Platform, location: LakeLocation): Promise<Archivers> {
  const { connections, lifecycle } = platform;
  const [client, store] = [await connections.open("prompt"), await openLake(location)];
  const archivers = new Archivers({ ...platform, client, store });
  await archivers.start();
  lifecycle.onStop("write what is to be archived", () => archivers.stop());
  return archivers;
}

/** Ends archiving: what was kept for it alone is deleted. */
export async function endArchiving({ working, scripts, partitions, log }: Platform): Promise<void> {
  for (const keys of partitions) {
    if (!(await isArchiving(working, keys))) continue;
    await leaveArchive(working, scripts, keys);
    log.info({ partition: keys.partition }, "archiving is ended");
  }
}

/** Role `jobs`: moves closed buckets to cold storage. */
export async function startJobs(platform: Platform): Promise<Jobs> {
  const { connections, scripts, cold, lifecycle, log, metrics } = platform;
  const client = await connections.open("prompt");
  const coldStore = new ColdStore(cold);
  const archive = new LedgerArchive({ client, scripts, database: cold });
  const onDiffering = (rows: readonly CellRow[]) => {
    metrics.exportDiffering.inc(rows.length);
    const [first] = rows;
    log.error({ rows: rows.length, first }, "ALARM: cold storage holds buckets with other numbers than Redis");
  };
  const work = new Work({ ...platform, client, store: coldStore, archive, onDiffering });
  const { archive: location, archiveKeepMs: keepMs } = platform.config;
  const store = location === null || location === "off" ? null : await openLake(location);
  const lake = store && {
    tidier: new LakeTidier({ store, keepMs, metrics }),
    rebuilder: new Rebuilder({ ...platform, client, store }),
  };
  const jobs = await Jobs.start({ ...platform, work, lake });
  lifecycle.onStop("finish jobs", () => jobs.stop());
  const observer = Observer.start({ ...platform, client: await connections.open("prompt"), work, queues: jobs.queues });
  lifecycle.onStop("stop observing", () => observer.stop());
  return jobs;
}

/** Role `jobs`, too: evaluates alerts and delivers what comes of them. */
export async function startAlerts(platform: Platform): Promise<Alerts> {
  const { config, lifecycle } = platform;
  const sender = new WebhookSender({ allowPrivate: config.webhookAllowPrivate });
  const alerts = await Alerts.start({ ...platform, now: alertTime(platform), sender });
  lifecycle.onStop("finish deliveries", () => alerts.stop());
  return alerts;
}

/** Wall time that all evaluators share, ms. */
const alertTime =
  ({ client }: Platform) =>
  () =>
    timeAt(client, ALERTS.rules);

/** Role `api`: takes events, answers lookups, and shows the dashboard. */
export async function serveApi(server: FastifyInstance, platform: Platform, quota: Quota): Promise<void> {
  const { config, connections, lifecycle, client, subscriber, scripts, partitions, cold, log, metrics } = platform;
  const outcomes = await Outcomes.subscribe(subscriber, randomUUID());
  const { durability } = config;
  const producer = new Producer(
    await connections.open("prompt"),
    durability.kind === "replicas" ? { replicas: durability.count, timeoutMs: REPLICAS_TIMEOUT_MS } : null,
  );
  const gate = await Gate.open(client, partitions, (error) => log.warn({ err: error }, "cannot look at the backlog"));
  metrics.gateView = () => gate.view;
  lifecycle.onStop("stop looking at the backlog", async () => gate.close());
  const archive = new LedgerArchive({ client, scripts, database: cold });
  await server.register(dashboardRoutes, { directory: DASHBOARD_DIRECTORY });
  await server.register(referenceRoutes);
  await server.register(keyRoutes, { ...platform, now: Date.now });
  await server.register(counterRoutes, platform);
  await server.register(rebuildRoutes, { ...platform, rebuilds: await openRebuilds(platform) });
  await server.register(ingestRoutes, { ...platform, producer, outcomes, gate, quota, now: Date.now });
  await server.register(ledgerRoutes, { ...platform, archive, pass: () => gate.pass() });
  await server.register(queryRoutes, { ...platform, now: Date.now });
  const allowPrivate = config.webhookAllowPrivate;
  await server.register(alertRoutes, { ...platform, now: alertTime(platform), allowPrivate });
}

async function openRebuilds({ config, connections, lifecycle }: Platform): Promise<Rebuilds | null> {
  if (config.archive === null || config.archive === "off") return null;
  const rebuilds = new Rebuilds(await connections.open("queue"));
  lifecycle.onStop("ask for rebuilds no more", () => rebuilds.close());
  return rebuilds;
}

/** Role `live`: feeds. */
export async function serveLive(server: FastifyInstance, platform: Platform): Promise<void> {
  const { config, connections } = platform;
  const deps = { ...platform, client: await connections.open("prompt"), now: Date.now };
  await server.register(liveRoutes, {
    ...deps,
    lookups: new Lookups(deps),
    stats: new Stats(deps),
    alerts: new AlertLog({ ...deps, now: alertTime(platform) }),
    allowedOrigins: config.allowedOrigins,
  });
}
