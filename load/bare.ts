import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Address } from "../src/redis/embedded/probe.ts";
import type { FromBareServer } from "./bare-server.ts";

const SERVER = fileURLToPath(new URL("bare-server.ts", import.meta.url));
const READY_MAX_MS = 30_000;

/** What its lookup reads. */
export const BARE_HASH = "bench:bare";
export const BARE_FIELD = "count";

export interface Bare {
  readonly url: string;
  readonly pid: number;
  stop(): void;
}

/** Starts a bare server on that Redis, with a connection of its own. */
export async function startBare(redis: Address): Promise<Bare> {
  const child = fork(SERVER, [JSON.stringify(redis)], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const stop = () => {
    child.kill();
  };
  try {
    const [{ url }] = (await once(child, "message", { signal: AbortSignal.timeout(READY_MAX_MS) })) as [FromBareServer];
    return { url, pid: child.pid as number, stop };
  } catch (error) {
    stop();
    throw error;
  }
}
