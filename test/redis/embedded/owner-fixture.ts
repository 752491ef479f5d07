import { Redis } from "ioredis";
import { startEmbeddedRedis } from "../../../src/redis/embedded/server.ts";

/** Run as a program: starts an embedded Redis on the directory given, writes a key, and stays. */
function report(content: object): void {
  console.log(JSON.stringify(content));
}

try {
  const dataDir = process.argv[2] ?? "";
  const { pid, address } = await startEmbeddedRedis({ dataDir, durability: "always" });
  const redis = "path" in address ? new Redis({ path: address.path }) : new Redis(address);
  process.on("SIGINT", async () => report({ interrupted: await redis.ping() }));
  await redis.set("written-by", process.pid);
  report({ started: { pid, address } });
} catch (error) {
  report({ failed: error instanceof Error ? `${error.name}: ${error.message}` : String(error) });
}
