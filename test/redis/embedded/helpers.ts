import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, constants, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { onTestFinished } from "vitest";
import { identityOf, isAlive } from "../../../src/redis/embedded/process-identity.ts";
import {
  type EmbeddedRedis,
  type EmbeddedRedisOptions,
  startEmbeddedRedis,
} from "../../../src/redis/embedded/server.ts";

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-"));
  // What a test has started stops in its own clean-up, which runs before this one.
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  return directory;
}

export async function start(dataDir: string, more: Partial<EmbeddedRedisOptions> = {}): Promise<EmbeddedRedis> {
  const redis = await startEmbeddedRedis({ dataDir, durability: "always", ...more });
  onTestFinished(() => redis.stop());
  return redis;
}

export function client(redis: { readonly address: EmbeddedRedis["address"] }): Redis {
  const { address } = redis;
  const connection = "path" in address ? new Redis({ path: address.path }) : new Redis(address);
  // The tests end servers under their clients; a command that is sent then fails by itself.
  connection.on("error", () => {});
  onTestFinished(() => connection.disconnect());
  return connection;
}

export async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(20);
  }
}

/** Resolves when the process has ended, waited for by its parent or not. */
export function untilGone(pid: number): Promise<void> {
  const identity = identityOf(pid);
  return until(`end of process ${pid}`, () => !isAlive(identity));
}

/** What the process of `owner-fixture.ts` tells on its output, one JSON object a line. */
export interface Report {
  readonly started?: { readonly pid: number; readonly address: EmbeddedRedis["address"] };
  readonly failed?: string;
  readonly interrupted?: string;
}

export interface Owner {
  readonly process: ChildProcess;
  readonly pid: number;
  report(): Promise<Report>;
}

/** Another process that starts an embedded Redis and keeps it until it is killed. */
export function spawnOwner(dataDir: string): Owner {
  const script = fileURLToPath(new URL("owner-fixture.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script, dataDir], {
    // A group of its own, so that a test can do what a terminal does on Ctrl-C.
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    pid: child.pid ?? 0,
    report: async () => JSON.parse((await lines.next()).value ?? "{}") as Report,
  };
}

/** A directory for a search path, with the given shell scripts in it. */
export async function programs(scripts: Readonly<Record<string, string>>): Promise<string> {
  const directory = join(await temporaryDirectory(), "bin");
  await mkdir(directory);
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(directory, name), 0o755);
  }
  return directory;
}

/** The system's own program, linked into a directory for a search path; false if the system has none. */
export async function borrow(name: string, directory: string): Promise<boolean> {
  for (const place of (process.env.PATH ?? "").split(delimiter)) {
    try {
      await access(join(place, name), constants.X_OK);
      await symlink(join(place, name), join(directory, name));
      return true;
    } catch {}
  }
  return false;
}
