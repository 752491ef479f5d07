import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** How long a start may take, milliseconds: a first start on a busy machine makes a database. */
const READY_MAX_MS = 60_000;
const READY = /^Tallymark is ready at (http:\/\/\S+)$/m;
const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

const temporaryDirectories: string[] = [];

export interface ServiceOptions {
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The content of a configuration file, given with `--config`. */
  readonly config?: unknown;
  /** The data directory of an earlier start; absent: a fresh one. */
  readonly dataDir?: string;
  /** Added behind `serve`. */
  readonly args?: readonly string[];
}

export interface Service {
  readonly url: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Sends SIGTERM and waits for the end; resolves to the exit code, `null` when a signal ended the process. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL and waits for the end. */
  kill(): Promise<void>;
  /** Everything written to standard error so far. */
  stderr(): string;
}

/** Starts the built service in a process of its own; rejects with its output when it does not become ready. */
export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const dataDir = options.dataDir ?? (await temporaryDirectory());
  const args = [MAIN, "serve", ...(options.args ?? [])];
  if (options.config !== undefined) args.push("--config", await configFile(options.config));
  const child = spawn(process.execPath, args, {
    env: { ...inheritedEnvironment(), TALLYMARK_DATA_DIR: dataDir, TALLYMARK_PORT: "0", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit").then(() => child.exitCode);
  const output = collectOutput(child);
  const url = await readyAt(child, output);
  return {
    url,
    dataDir,
    pid: child.pid as number,
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    stderr: () => output.stderr,
  };
}

/** Removes every directory made here; for `afterAll`, once the services have ended. */
export async function removeTemporaryDirectories(): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 200 };
  await Promise.all(temporaryDirectories.splice(0).map((directory) => rm(directory, options)));
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-service-"));
  temporaryDirectories.push(directory);
  return directory;
}

async function configFile(config: unknown): Promise<string> {
  const file = join(await temporaryDirectory(), "tallymark.config.json");
  await writeFile(file, JSON.stringify(config));
  return file;
}

/** A developer's own settings must not decide what a test sees. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const foreign = (name: string) => name.startsWith("TALLYMARK_") || name === "REDIS_URL" || name === "DATABASE_URL";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign(name)));
}

interface Output {
  stdout: string;
  stderr: string;
}

function collectOutput(child: ChildProcess): Output {
  const output: Output = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  return output;
}

function readyAt(child: ChildProcess, output: Output): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(`the service ${why}\n${output.stdout}${output.stderr}`));
    };
    const timer = setTimeout(() => {
      fail(`was not ready within ${READY_MAX_MS} ms`);
      child.kill("SIGKILL");
    }, READY_MAX_MS);
    child.stdout?.on("data", () => {
      const url = READY.exec(output.stdout)?.[1];
      if (!url) return;
      clearTimeout(timer);
      resolve(url);
    });
    // "close", unlike "exit", comes when the output is complete, and the output says why.
    child.on("close", (code) => fail(`ended with ${code} before it was ready`));
    child.on("error", (error) => fail(`could not be started: ${error.message}`));
  });
}
