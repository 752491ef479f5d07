import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { vi } from "vitest";
import { freePort } from "./ports.ts";
import { end, spawnProgram, spawnRedis } from "./redis-process.ts";

const NAME = "tallymark";
const SENTINELS = 3;
const QUORUM = 2;
/** How long a primary may be silent before a sentinel takes it for dead, ms. */
const DOWN_AFTER_MS = 2_000;
const UP_WITHIN_MS = 60_000;

export interface TestSentinel {
  /** For `REDIS_URL`. */
  readonly url: string;
  /** Stops the processes of the primary and the first sentinel, without closing a connection; `wake` lets them go on. */
  freezeMachine(): void;
  /** As above, the primary alone. */
  freeze(): void;
  wake(): void;
  kill(): Promise<void>;
  /** Starts the killed primary again, with its data. */
  revive(): Promise<void>;
  /** The port that the sentinels name as the primary's. */
  primaryPort(): Promise<number>;
  /** The port of the server that was the primary at first, and of the one that was its replica. */
  readonly ports: { readonly primary: number; readonly replica: number };
  /** Replication as a server sees it. */
  replication(port: number): Promise<string>;
  stop(): Promise<void>;
}

/** A primary, its replica and three sentinels that watch them: local processes. */
export async function startTestSentinel(): Promise<TestSentinel> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-sentinel-"));
  const [primary, replica, ...sentinels] = (await freePorts(2 + SENTINELS)) as [number, number, ...number[]];
  const processes = new Map<number, ChildProcess>();
  const spawnPrimary = async () => void processes.set(primary, await spawnRedis([], { port: primary, dir: directory }));
  const signal = (name: NodeJS.Signals, ...ports: number[]) => {
    for (const port of ports) processes.get(port)?.kill(name);
  };
  await spawnPrimary();
  const following = { port: replica, dir: directory, replicaof: `127.0.0.1 ${primary}` };
  processes.set(replica, await spawnRedis([], following));
  await until(async () =>
    (await ask(replica, (client) => client.info("replication"))).includes("master_link_status:up"),
  );
  for (const port of sentinels) processes.set(port, await spawnSentinel(directory, port, primary));
  await until(async () => (await Promise.all(sentinels.map(knowsAll))).every(Boolean));
  return {
    url: `redis+sentinel://${sentinels.map((port) => `127.0.0.1:${port}`).join(",")}/${NAME}`,
    ports: { primary, replica },
    freezeMachine: () => signal("SIGSTOP", primary, sentinels[0] as number),
    freeze: () => signal("SIGSTOP", primary),
    wake: () => signal("SIGCONT", primary, sentinels[0] as number),
    kill: () => end(processes.get(primary) as ChildProcess),
    revive: spawnPrimary,
    primaryPort: () => ask(sentinels.at(-1) as number, primaryNamedBy),
    replication: (port) => ask(port, (client) => client.info("replication")),
    stop: async () => {
      await Promise.all([...processes.values()].map(end));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A sentinel keeps what it learns in its configuration file, so it needs one that it may write to. */
async function spawnSentinel(directory: string, port: number, primary: number): Promise<ChildProcess> {
  const file = join(directory, `sentinel-${port}.conf`);
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${directory}`,
    `sentinel monitor ${NAME} 127.0.0.1 ${primary} ${QUORUM}`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${NAME} 10000`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  return spawnProgram([file, "--sentinel"]);
}

/** Whether a sentinel has met the replica and all other sentinels. */
async function knowsAll(port: number): Promise<boolean> {
  const info = await ask(port, (client) => client.info("sentinel"));
  return info.includes(`status=ok`) && info.includes(`slaves=1,sentinels=${SENTINELS}`);
}

async function primaryNamedBy(client: Redis): Promise<number> {
  const [, port] = (await client.call("SENTINEL", "get-master-addr-by-name", NAME)) as [string, string];
  return Number(port);
}

/** One question over a connection of its own: servers die and come back here. */
async function ask<T>(port: number, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ port, lazyConnect: true, retryStrategy: null, commandTimeout: 2_000 });
  client.on("error", () => {});
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const check = async () => {
    if (!(await condition())) throw new Error("Redis and its sentinels did not come up");
  };
  await vi.waitFor(check, { timeout: UP_WITHIN_MS, interval: 100 });
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
