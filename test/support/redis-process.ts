import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { childEnvironment, defaultCacheDir, searchPath } from "../../src/redis/embedded/environment.ts";
import { locateRedis } from "../../src/redis/embedded/locate.ts";

export interface ServerOptions {
  readonly port: number;
  readonly dir: string;
  readonly [name: string]: string | number;
}

/** A server whose data survives its own death, and whose replicas do not wait. */
export function spawnRedis(args: readonly string[], options: ServerOptions): Promise<ChildProcess> {
  const { port } = options;
  const all = {
    bind: "127.0.0.1",
    dbfilename: `${port}.rdb`,
    appendonly: "yes",
    appenddirname: `aof-${port}`,
    save: "",
    "maxmemory-policy": "noeviction",
    "repl-diskless-sync-delay": 0,
    ...options,
  };
  return spawnProgram([...args, ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])]);
}

/** The Redis program with these arguments, whatever they make of it. */
export async function spawnProgram(args: readonly string[]): Promise<ChildProcess> {
  const binary = await locateRedis({ path: searchPath(), cacheDir: defaultCacheDir() });
  return spawn(binary.command, args, { stdio: "ignore", env: childEnvironment(binary.libraryPath) });
}

/** Kills a process, frozen or not, and waits for its end. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
