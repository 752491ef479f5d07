import { chmod, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { StartupError } from "../../core/errors.ts";
import type { RedisBinary } from "./binary.ts";
import { defaultCacheDir, searchPath } from "./environment.ts";
import { reasonOf } from "./failures.ts";
import { type Launched, launch } from "./launch.ts";
import { awaitNoLeftover, forgetServer } from "./leftover.ts";
import { locateRedis } from "./locate.ts";
import { type DirectoryLock, lockDirectory } from "./lock.ts";
import type { Address } from "./probe.ts";
import { SOCKET_NAME } from "./settings.ts";

export interface EmbeddedRedisOptions {
  dataDir: string;
  /** Whether a confirmed write can be lost with the machine's power: within a second, or never. */
  durability: "everysec" | "always";
  /** Where a fetched Redis is kept; `$XDG_CACHE_HOME/tallymark` or `~/.cache/tallymark` if not given. */
  cacheDir?: string;
  /** Further arguments of the server, which overrule ours. */
  extraArgs?: readonly string[];
  /** Called if the server ends without having been asked to. */
  onUnexpectedExit?: (detail: string) => void;
  /** Told what takes its time. */
  log?: (message: string) => void;
}

export interface EmbeddedRedis {
  readonly address: Address;
  readonly pid: number;
  readonly version: string;
  /** Ends the server with all its data on disk and gives the directory free. Every call waits for the one stop. */
  stop(): Promise<void>;
}

/** Starts a Redis that lives no longer than this process, on data that does. Throws a StartupError. */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const log = options.log ?? (() => {});
  const cacheDir = resolve(options.cacheDir ?? defaultCacheDir());
  const binary = await locateRedis({ path: searchPath(), cacheDir, log });
  const dataDir = resolve(options.dataDir);
  const redisDir = join(dataDir, "redis");
  return asStartupError(`cannot keep data in ${dataDir}`, async () => {
    await prepare(redisDir);
    const lock = await lockDirectory(dataDir);
    try {
      await awaitNoLeftover(redisDir, join(redisDir, SOCKET_NAME));
      const { durability, extraArgs = [] } = options;
      const launched = await launch({ binary, redisDir, durability, extraArgs, log });
      return handleOf(launched, binary, redisDir, lock, options.onUnexpectedExit);
    } catch (error) {
      await lock.release();
      throw error;
    }
  });
}

async function prepare(redisDir: string): Promise<void> {
  await mkdir(redisDir, { recursive: true, mode: 0o700 });
  // It holds the socket, which is as good as a password.
  await chmod(redisDir, 0o700);
}

function handleOf(
  { server, address, output }: Launched,
  binary: RedisBinary,
  redisDir: string,
  lock: DirectoryLock,
  onUnexpectedExit: (detail: string) => void = () => {},
): EmbeddedRedis {
  let stopped: Promise<void> | undefined;
  void server.ended.then(async (how) => {
    if (stopped !== undefined) return;
    const lines = await output.tail();
    onUnexpectedExit(`Redis (process ${server.pid}) ${how}; the last lines of ${output.path}:\n${lines}`);
  });
  const stop = async () => {
    await server.end();
    await forgetServer(redisDir);
    await lock.release();
  };
  return {
    address,
    pid: server.pid,
    version: binary.version,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

async function asStartupError<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof StartupError ? error : new StartupError(`${what}: ${reasonOf(error)}`, { cause: error });
  }
}
