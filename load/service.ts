import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COUNTER } from "./workload.ts";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));
/** As `npm start` gives them. */
const NODE_OPTIONS = ["--max-semi-space-size=64"];
const READY_MAX_MS = 60_000;

export interface Service {
  readonly url: string;
  readonly pid: number;
  /** Of the embedded Redis. */
  readonly redisPid: number;
  readonly redisSocket: string;
  /** From the command to being ready, Redis included, seconds. */
  readonly readySeconds: number;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly partitions: number;
  /** Where to write a CPU profile of the service; `null` for none. */
  readonly profileDir: string | null;
  /** Definitions; absent: the counter of the reference workload. */
  readonly counters?: readonly object[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts the built service on data of its own. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { partitions, profileDir, counters = [COUNTER], env } = options;
  const directory = await mkdtemp(join(tmpdir(), "tallymark-bench-"));
  const config = join(directory, "config.json");
  await writeFile(config, JSON.stringify({ counters }));
  const profiling = profileDir ? ["--cpu-prof", "--cpu-prof-dir", profileDir] : [];
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...NODE_OPTIONS, ...profiling, MAIN, "serve", "--config", config], {
    env: {
      ...foreignEnvironment(),
      TALLYMARK_DATA_DIR: directory,
      TALLYMARK_PORT: "0",
      TALLYMARK_PARTITIONS: String(partitions),
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit");
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const { url, redisPid } = await untilReady(child);
    const readySeconds = (performance.now() - startedAt) / 1_000;
    const redisSocket = join(directory, "redis", "redis.sock");
    return { url, pid: child.pid as number, redisPid, redisSocket, readySeconds, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Whoever runs the benchmark may have settings of their own, which must not decide what is measured. */
function foreignEnvironment(): NodeJS.ProcessEnv {
  const ours = (name: string) => name.startsWith("TALLYMARK_") || name === "REDIS_URL" || name === "DATABASE_URL";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours(name)));
}

function untilReady(child: ChildProcess): Promise<{ url: string; redisPid: number }> {
  return new Promise((resolve, reject) => {
    let [out, log] = ["", ""];
    const fail = (why: string) => reject(new Error(`the service ${why}\n${out}${log}`));
    const timer = setTimeout(() => fail("was not ready in time"), READY_MAX_MS);
    const look = () => {
      const url = /^Tallymark is ready at (http:\/\/\S+)$/m.exec(out)?.[1];
      const redisPid = /"pid":(\d+),"msg":"embedded Redis is ready"/.exec(log)?.[1];
      if (!url || !redisPid) return;
      clearTimeout(timer);
      resolve({ url, redisPid: Number(redisPid) });
    };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      look();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      look();
      // Alarms and failures during the run must not pass unseen.
      for (const line of text.split("\n")) if (/"level":(50|60)/.test(line)) process.stderr.write(`${line}\n`);
    });
    child.on("exit", (code) => fail(`ended with ${code}`));
  });
}
