import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { StartupError } from "../../core/errors.ts";
import type { RedisBinary } from "./binary.ts";
import { forgetServer, recordServer } from "./leftover.ts";
import { openLog, type RunLog } from "./log-file.ts";
import { type Address, probe } from "./probe.ts";
import { LOG_NAME, SOCKET_NAME, serverArguments } from "./settings.ts";
import { type Supervised, spawnSupervised } from "./supervised.ts";

/** The shortest limit on the path of a socket, that of macOS, its closing zero byte included. */
const SOCKET_PATH_BELOW_BYTES = 104;
const TRIES = 5;
const LOADED_WITHIN_MS = 5 * 60 * 1000;
const LOOK_EVERY_MS = 25;

export interface LaunchOptions {
  readonly binary: RedisBinary;
  readonly redisDir: string;
  readonly durability: "everysec" | "always";
  readonly extraArgs: readonly string[];
  readonly log: (message: string) => void;
}

export interface Launched {
  readonly server: Supervised;
  readonly address: Address;
  readonly output: RunLog;
}

/** Starts the server and waits until it serves commands; throws a StartupError, with no process left, if it does not. */
export async function launch(options: LaunchOptions): Promise<Launched> {
  const socket = join(options.redisDir, SOCKET_NAME);
  let address: Address =
    Buffer.byteLength(socket) < SOCKET_PATH_BELOW_BYTES ? { path: socket } : await freeLocalAddress();
  for (let tries = 1; ; tries++) {
    const attempt = await startOnce(options, address);
    if (typeof attempt !== "string") return attempt;
    if (tries === TRIES || !isAddressFault(attempt)) throw new StartupError(attempt);
    // Somebody took the port in between, or the file system has no sockets.
    address = await freeLocalAddress();
  }
}

/** The text is why the server ended before it was ready. */
async function startOnce(options: LaunchOptions, address: Address): Promise<Launched | string> {
  const { binary, redisDir } = options;
  const output = await openLog(redisDir, LOG_NAME);
  const args = [...serverArguments(address, options.durability), ...options.extraArgs];
  const spawned = spawnSupervised({ binary, args, directory: redisDir, output: output.handle.fd });
  const server = await spawned.catch(async (error: unknown) => {
    await output.handle.close();
    throw error;
  });
  try {
    recordServer(redisDir, server.pid);
    await output.handle.close();
    const fault = await untilReady(server, address, options.log);
    if (fault === undefined) return { server, address, output };
    await forgetServer(redisDir);
    return `${binary.command} ${fault}; the last lines of ${output.path}:\n${await output.tail()}`;
  } catch (error) {
    await server.end();
    await forgetServer(redisDir);
    throw error;
  }
}

/** Undefined once the server serves commands; otherwise how it ended. */
async function untilReady(
  server: Supervised,
  address: Address,
  log: (message: string) => void,
): Promise<string | undefined> {
  const begun = performance.now();
  let fault: string | undefined;
  let saidLoading = false;
  const ended = server.ended.then((how) => {
    fault = how;
  });
  while (fault === undefined) {
    const health = await probe(address);
    // On a TCP port a stranger may answer, while our own server is still about to find the port taken.
    if (health.state === "ready" && health.pid === server.pid) return undefined;
    if (health.state === "loading" && !saidLoading) {
      saidLoading = true;
      log("Redis is loading its data");
    }
    if (performance.now() - begun > LOADED_WITHIN_MS) {
      throw new StartupError(`Redis (process ${server.pid}) was not ready within ${LOADED_WITHIN_MS / 1000} s`);
    }
    await Promise.race([ended, pause(LOOK_EVERY_MS)]);
  }
  return fault;
}

function isAddressFault(fault: string): boolean {
  return /Address already in use|Failed opening Unix socket/i.test(fault);
}

function freeLocalAddress(): Promise<Address> {
  return new Promise((resolve, reject) => {
    const listener = createServer();
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", () => {
      const bound = listener.address();
      listener.close(() => {
        if (bound !== null && typeof bound === "object") resolve({ host: bound.address, port: bound.port });
        else reject(new Error("the system gave no local port"));
      });
    });
  });
}
