import { execFile } from "node:child_process";
import { connect } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { childEnvironment, defaultCacheDir, searchPath } from "../src/redis/embedded/environment.ts";
import { isExecutable } from "../src/redis/embedded/failures.ts";
import { locateRedis } from "../src/redis/embedded/locate.ts";
import type { Address } from "../src/redis/embedded/probe.ts";
import { seededRandom } from "./random.ts";

/** `redis-benchmark -t set -P 64 -n 1000000 -r 100000 -d 16 -c 50`: Redis's own yardstick, mostly parsing and sockets. */
const NAME = "redis-benchmark";
const PIPELINE = 64;
const REQUESTS = 1_000_000;
const KEYS = 100_000;
const VALUE_BYTES = 16;
const CLIENTS = 50;

export interface SetLoad {
  readonly by: typeof NAME | "own sender";
  readonly sets: number;
}

/**
 * Sends a million SETs: by redis-benchmark where there is one, else by a sender that does the same. The server needs a
 * fifth less CPU for the latter, so the two are not to be compared with each other.
 */
export async function loadSets(address: Address): Promise<SetLoad> {
  const program = await findBenchmark();
  if (program) {
    await runBenchmark(program, address);
    return { by: NAME, sets: REQUESTS };
  }
  return { by: "own sender", sets: await sendSets(address) };
}

interface Program {
  readonly command: string;
  readonly libraryPath?: string | undefined;
}

/** On PATH, or beside the server that is used here. */
async function findBenchmark(): Promise<Program | undefined> {
  const server = await locateRedis({ path: searchPath(), cacheDir: defaultCacheDir() });
  const beside = { command: join(dirname(server.command), NAME), libraryPath: server.libraryPath };
  const onPath = searchPath()
    .split(delimiter)
    .map((directory): Program => ({ command: join(directory, NAME) }));
  for (const program of [...onPath, beside]) if (await isExecutable(program.command)) return program;
  return undefined;
}

async function runBenchmark({ command, libraryPath }: Program, address: Address): Promise<void> {
  const where = "path" in address ? ["-s", address.path] : ["-h", address.host, "-p", String(address.port)];
  const what = ["-t", "set", "-P", PIPELINE, "-n", REQUESTS, "-r", KEYS, "-d", VALUE_BYTES, "-c", CLIENTS, "-q"];
  await promisify(execFile)(command, [...where, ...what.map(String)], { env: childEnvironment(libraryPath) });
}

/** What redis-benchmark sends: a pipeline on each connection, the next one when all of it is answered. */
async function sendSets(address: Address): Promise<number> {
  const pipelines = preparePipelines(Math.ceil(KEYS / PIPELINE) * 2);
  const rounds = Math.ceil(REQUESTS / PIPELINE / CLIENTS);
  await Promise.all(Array.from({ length: CLIENTS }, (_, client) => runClient(address, pipelines, client, rounds)));
  return rounds * CLIENTS * PIPELINE;
}

function preparePipelines(count: number): Buffer[] {
  const random = seededRandom(1);
  const value = "x".repeat(VALUE_BYTES);
  const set = () => {
    const key = `key:${String(random.below(KEYS)).padStart(12, "0")}`;
    return `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${VALUE_BYTES}\r\n${value}\r\n`;
  };
  return Array.from({ length: count }, () => Buffer.from(Array.from({ length: PIPELINE }, set).join("")));
}

const REPLY_BYTES = "+OK\r\n".length;

function runClient(address: Address, pipelines: readonly Buffer[], client: number, rounds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    let [round, awaited] = [0, 0];
    const next = () => {
      if (round === rounds) {
        socket.destroy();
        return resolve();
      }
      awaited = PIPELINE * REPLY_BYTES;
      // Other pipelines each round, so that all keys get their turn.
      socket.write(pipelines[(client + round++ * 7) % pipelines.length] as Buffer);
    };
    socket.on("connect", next);
    socket.on("error", reject);
    socket.on("data", (bytes) => {
      if (bytes[0] === 0x2d) return reject(new Error(`SET was answered ${bytes.toString().split("\r\n")[0]}`));
      awaited -= bytes.length;
      if (awaited === 0) next();
    });
  });
}
