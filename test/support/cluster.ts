import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { vi } from "vitest";
import { freePort } from "./ports.ts";
import { end, spawnRedis } from "./redis-process.ts";

const SLOTS = 16_384;

export interface TestCluster {
  /** For `REDIS_URL`. */
  readonly url: string;
  /** Primaries first, then their replicas in the same order. */
  readonly nodes: readonly ClusterNode[];
  /** Kills a primary, waits until its replica has taken over, and brings it back as the replica. */
  failOver(primary: number): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterNode {
  readonly port: number;
  process: ChildProcess;
  readonly client: Redis;
}

/** A real Redis Cluster of local processes: `primaries` that share the slots evenly, each with one replica if asked. */
export async function startTestCluster(primaries: number, replicas: 0 | 1): Promise<TestCluster> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-cluster-"));
  const ports = await freePorts(primaries * (1 + replicas));
  const nodes = await Promise.all(ports.map((port) => startNode(directory, port)));
  const first = nodes[0] as ClusterNode;
  for (const [i, { client }] of nodes.slice(0, primaries).entries()) {
    const [from, to] = [Math.floor((i * SLOTS) / primaries), Math.floor(((i + 1) * SLOTS) / primaries) - 1];
    await client.cluster("ADDSLOTSRANGE", from, to);
    await client.cluster("SET-CONFIG-EPOCH", i + 1);
  }
  for (const { port } of nodes.slice(1)) await first.client.cluster("MEET", "127.0.0.1", port);
  const everybodyKnown = async () =>
    (await Promise.all(nodes.map(({ client }) => knownNodes(client)))).every((known) => known === nodes.length);
  await until(everybodyKnown);
  for (const [i, { client }] of nodes.slice(primaries).entries()) {
    await client.cluster("REPLICATE", (await nodes[i]?.client.cluster("MYID")) as string);
  }
  const isUp = async () =>
    (await Promise.all(nodes.map(({ client }) => client.cluster("INFO")))).every((info) =>
      info.includes("cluster_state:ok"),
    );
  await until(isUp);
  return {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
    nodes,
    failOver: async (primary) => {
      const [dead, successor] = [nodes[primary], nodes[primary + primaries]] as [ClusterNode, ClusterNode];
      await end(dead.process);
      await until(async () => (await successor.client.role())[0] === "master");
      dead.process = await spawnNode(directory, dead.port);
    },
    stop: async () => {
      for (const { client } of nodes) client.disconnect();
      await Promise.all(nodes.map(({ process }) => end(process)));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  await vi.waitFor(
    async () => {
      if (!(await condition())) throw new Error("the cluster did not come up");
    },
    { timeout: 30_000 },
  );
}

async function knownNodes(client: Redis): Promise<number> {
  const text = (await client.cluster("NODES")) as string;
  return text.split("\n").filter((line) => line !== "" && !line.includes("handshake") && !line.includes("noaddr"))
    .length;
}

async function startNode(directory: string, port: number): Promise<ClusterNode> {
  const process = await spawnNode(directory, port);
  const client = new Redis({ host: "127.0.0.1", port, retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on("error", () => {});
  await client.ping();
  return { port, process, client };
}

function spawnNode(directory: string, port: number): Promise<ChildProcess> {
  return spawnRedis([], {
    port,
    dir: directory,
    "cluster-enabled": "yes",
    "cluster-config-file": `nodes-${port}.conf`,
    "cluster-node-timeout": 2_000,
  });
}

/** The cluster bus takes the port 10,000 above, so ports are chosen where that exists. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = await freePort();
    if (port < 55_000 && !ports.includes(port)) ports.push(port);
  }
  return ports;
}
