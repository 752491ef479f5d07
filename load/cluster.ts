import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import type { RedisTarget } from "../src/redis/client.ts";
import { freePort } from "../test/support/ports.ts";
import { end, spawnRedis } from "../test/support/redis-process.ts";

const SLOTS = 16_384;
/** The cluster bus takes the port 10,000 above. */
const PORT_MAX = 55_535;
const UP_MAX_MS = 30_000;
const LOOK_EVERY_MS = 100;

export interface BenchCluster {
  readonly target: RedisTarget;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

interface Node {
  readonly port: number;
  readonly process: ChildProcess;
  readonly client: Redis;
}

/** A Redis Cluster of primaries alone, which share the slots evenly. (That of the tests waits by Vitest's own means.) */
export async function startCluster(primaries: number): Promise<BenchCluster> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-bench-cluster-"));
  const nodes: Node[] = [];
  const stop = async () => {
    for (const { client } of nodes) client.disconnect();
    await Promise.all(nodes.map(({ process }) => end(process)));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    while (nodes.length < primaries) nodes.push(await startNode(directory));
    await connectSlots(nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  const addresses = nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
  return {
    target: { kind: "cluster", nodes: addresses, options: {} },
    pids: nodes.map(({ process }) => process.pid as number),
    stop,
  };
}

async function startNode(dir: string): Promise<Node> {
  let port = await freePort();
  while (port > PORT_MAX) port = await freePort();
  const process = await spawnRedis([], {
    port,
    dir,
    "cluster-enabled": "yes",
    "cluster-config-file": `nodes-${port}.conf`,
    // One that nobody has met does not know its own address, and tells clients none.
    "cluster-announce-ip": "127.0.0.1",
    // As the embedded one has it.
    "set-max-intset-entries": 4_096,
    // A rewrite would fall into the time of one measurement and not into that of another.
    "auto-aof-rewrite-percentage": 0,
  });
  const client = new Redis({ port, host: "127.0.0.1", retryStrategy: () => LOOK_EVERY_MS, maxRetriesPerRequest: null });
  client.on("error", () => {});
  return { port, process, client };
}

async function connectSlots(nodes: readonly Node[]): Promise<void> {
  for (const [i, { client }] of nodes.entries()) {
    const [from, to] = [Math.floor((i * SLOTS) / nodes.length), Math.floor(((i + 1) * SLOTS) / nodes.length) - 1];
    await client.cluster("ADDSLOTSRANGE", from, to);
    await client.cluster("SET-CONFIG-EPOCH", i + 1);
  }
  for (const { port } of nodes.slice(1)) await nodes[0]?.client.cluster("MEET", "127.0.0.1", port);
  const giveUpAt = performance.now() + UP_MAX_MS;
  while (!(await areUp(nodes))) {
    if (performance.now() > giveUpAt) throw new Error("the cluster did not come up in time");
    await pause(LOOK_EVERY_MS);
  }
}

async function areUp(nodes: readonly Node[]): Promise<boolean> {
  const infos = await Promise.all(nodes.map(({ client }) => client.cluster("INFO")));
  const isUp = (info: string) =>
    info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${nodes.length}\r`);
  return infos.every(isUp);
}
