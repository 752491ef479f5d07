import type { FastifyInstance } from "fastify";
import { protect } from "./access/protect.ts";
import { Quota } from "./access/quota.ts";
import type { Config } from "./config.ts";
import { ConfigurationError } from "./core/errors.ts";
import { healthRoutes } from "./http/health.ts";
import { createServer } from "./http/server.ts";
import { registerBoard } from "./jobs/board.ts";
import type { Archivers } from "./lake/archivers.ts";
import { laggingArchive } from "./lake/lag.ts";
import { Lifecycle } from "./lifecycle.ts";
import type { Logger } from "./log.ts";
import { openPlatform, type Platform } from "./platform.ts";
import type { RedisClient } from "./redis/client.ts";
import { endArchiving, serveApi, serveLive, startAlerts, startArchivers, startJobs, startWorkers } from "./roles.ts";
import { WorkerThread } from "./stream/thread.ts";

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
  // Its code loads while Redis is being found.
  const thread = config.roles.has("worker") ? new WorkerThread(onFatal) : null;
  lifecycle.onStop("end the workers' thread", async () => thread?.kill());
  const platform = await openPlatform(config, log, lifecycle, onFatal);
  const { client, connections, metrics } = platform;
  const has = (role: Parameters<typeof config.roles.has>[0]) => config.roles.has(role);
  if (config.archive === "off") await endArchiving(platform);
  const archivers =
    has("archive") && config.archive !== null && config.archive !== "off"
      ? await startArchivers(platform, config.archive)
      : null;
  const working = thread && startWorkers(platform, thread);
  // It may fail before anybody waits for it.
  working?.catch(() => undefined);
  const jobs = has("jobs") ? await startJobs(platform) : null;
  const alerts = has("jobs") ? await startAlerts(platform) : null;

  const server = await createServer(log, metrics);
  const { allowedOrigins, rateLimit } = config;
  const quota = new Quota(await connections.open("prompt"), rateLimit);
  await protect(server, { ...platform, quota, allowedOrigins });
  await server.register(healthRoutes, {
    metrics: async () => [await metrics.registry.metrics(), (await thread?.report())?.metrics ?? ""].join("\n"),
    troubles: () => findTroubles(client, thread),
    notes: () => findNotes(platform, archivers),
  });
  if (jobs && alerts) await registerBoard(server, [...jobs.queues, alerts.queue]);
  if (has("api")) await serveApi(server, platform, quota);
  if (has("live")) await serveLive(server, platform);
  await working;
  const url = await listen(server, config);
  lifecycle.onStop("finish requests", () => server.close());
  return { url, stop: () => lifecycle.stop() };
}

async function findTroubles(client: RedisClient, thread: WorkerThread | null): Promise<string[]> {
  const troubles: string[] = [];
  await client.ping().catch((error: Error) => troubles.push(`Redis does not answer: ${error.message}`));
  const report = await thread?.report().catch((error: Error) => void troubles.push(error.message));
  const stopped = report?.stoppedPartitions ?? 0;
  if (stopped > 0) troubles.push(`${stopped} partitions are stopped by an error; see the log`);
  return troubles;
}

/** What does not keep the service from its work, but somebody should know. */
async function findNotes({ client, partitions, cold }: Platform, archivers: Archivers | null): Promise<string[]> {
  const notes: string[] = [];
  if (cold.failure) notes.push(`cold storage does not answer: ${(cold.failure as Error).message}`);
  if (archivers?.failure) notes.push(`the archive cannot be written: ${archivers.failure.message}`);
  const lagging = await laggingArchive(client, partitions).catch(() => null);
  if (lagging) notes.push(lagging);
  return notes;
}

async function listen(server: FastifyInstance, { host, port }: Config): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new ConfigurationError([`TALLYMARK_PORT: ${port} on ${host} is in use by another process`]);
  }
}
