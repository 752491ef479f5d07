import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { PartitionArchiver } from "../src/lake/archiver.ts";
import { FolderStore } from "../src/lake/folder.ts";
import { Metrics } from "../src/metrics.ts";
import { Connections } from "../src/redis/client.ts";
import { holdArchive, joinArchive } from "../src/redis/commands/lake.ts";
import { startEmbeddedRedis } from "../src/redis/embedded/server.ts";
import { type PartitionKeys, partitionKeys } from "../src/redis/keys.ts";
import { Scripts } from "../src/redis/scripts.ts";
import { drain, fill } from "./drain.ts";
import { cpuBetween, readCpuTime } from "./measure.ts";
import { median } from "./quantiles.ts";
import { COUNTER, makeWorkload, type Workload } from "./workload.ts";

/**
 * What archiving costs: the same full stream is drained by a worker without an archive, by a worker that keeps entries for
 * one, and by the archiver, in turns, each alone in this process. How to read it: README.md beside it.
 */

const { values } = parseArgs({ options: { events: { type: "string" }, rounds: { type: "string" } } });
const [events, rounds] = [Number(values.events ?? 200_000), Number(values.rounds ?? 3)];

const directory = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
const redis = await startEmbeddedRedis({ dataDir: join(directory, "redis"), durability: "everysec" });
const connections = new Connections({ kind: "single", options: { ...redis.address } }, () => {});
const [partition] = partitionKeys(1) as [PartitionKeys];
const scripts = new Scripts();
const client = await connections.open("prompt");

interface Figure {
  readonly what: string;
  readonly eventsPerSecond: number;
  /** CPU, µs per event. */
  readonly node: number;
  readonly redis: number;
}

async function refill(workload: Workload): Promise<void> {
  await client.flushall();
  await fill(client, partition, workload);
}

async function measured(what: string, run: () => Promise<void>): Promise<Figure> {
  const before = { at: performance.now(), node: process.cpuUsage(), redis: readCpuTime(redis.pid) };
  await run();
  const node = process.cpuUsage(before.node);
  return {
    what,
    eventsPerSecond: events / ((performance.now() - before.at) / 1_000),
    node: (node.user + node.system) / events,
    redis: (cpuBetween(before.redis, readCpuTime(redis.pid)).own * 1e6) / events,
  };
}

const count = () => drain(connections, [partition], COUNTER);

async function archive(folder: string): Promise<void> {
  const token = randomUUID();
  await holdArchive(client, scripts, partition, token, 600_000);
  const store = new FolderStore(folder);
  const archiver = new PartitionArchiver({
    partition,
    token,
    client,
    scripts,
    store,
    metrics: new Metrics(),
    waitMs: 1e9,
  });
  while ((await archiver.round()) === "more");
  await archiver.round(true);
}

async function bytesIn(folder: string): Promise<number> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".parquet"));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

const figures: Figure[] = [];
let [bytes, json] = [0, 0];
for (let round = 0; round < rounds; round++) {
  const workload = makeWorkload({ seed: round + 1, events, endsAt: Date.now() });
  for (let event = 0; event < events; event++) json += workload.text(event).length;
  await refill(workload);
  figures.push(await measured("worker, no archive", count));
  await refill(workload);
  await joinArchive(client, scripts, partition);
  figures.push(await measured("worker, entries kept", count));
  const folder = join(directory, `lake ${round}`);
  figures.push(await measured("archiver", () => archive(folder)));
  bytes += await bytesIn(folder);
  if ((await client.xlen(partition.stream)) !== 0) throw new Error("something is left on the stream");
}
connections.closeAll();
await redis.stop();
await rm(directory, { recursive: true, force: true });

process.stdout.write(`${events} events a round, medians of ${rounds} rounds\n`);
for (const what of new Set(figures.map((figure) => figure.what))) {
  const some = figures.filter((figure) => figure.what === what);
  const [rate, node, server] = (["eventsPerSecond", "node", "redis"] as const).map((name) =>
    median(some.map((figure) => figure[name])),
  ) as [number, number, number];
  process.stdout.write(
    `${what.padEnd(22)} ${Math.round(rate).toLocaleString("en").padStart(8)} events/s   CPU µs/event: Node ${node.toFixed(2)}, Redis ${server.toFixed(2)}\n`,
  );
}
process.stdout.write(
  `on disk: ${(bytes / events / rounds).toFixed(1)} bytes/event, of ${(json / events / rounds).toFixed(1)} bytes of JSON\n`,
);
