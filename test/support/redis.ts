import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connections, type RedisTarget } from "../../src/redis/client.ts";
import { startEmbeddedRedis } from "../../src/redis/embedded/server.ts";

export interface TestRedis {
  readonly target: RedisTarget;
  readonly connections: Connections;
  readonly pid: number;
  stop(): Promise<void>;
}

/** A real Redis of the test file's own. */
export async function startTestRedis(extraArgs: readonly string[] = []): Promise<TestRedis> {
  const dataDir = await mkdtemp(join(tmpdir(), "tallymark-test-"));
  const redis = await startEmbeddedRedis({ dataDir, durability: "everysec", extraArgs });
  const target: RedisTarget = { kind: "single", options: { ...redis.address } };
  const connections = new Connections(target, () => {});
  return {
    target,
    connections,
    pid: redis.pid,
    stop: async () => {
      connections.closeAll();
      await redis.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
