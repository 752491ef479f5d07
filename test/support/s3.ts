import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { vi } from "vitest";
import { freePort } from "./ports.ts";
import { end } from "./redis-process.ts";

/**
 * A real server that speaks S3 (https://github.com/versity/versitygw), where one is on the machine:
 * `go install github.com/versity/versitygw/cmd/versitygw@latest`.
 */
const DIRECTORIES = [...(process.env.PATH ?? "").split(delimiter), join(homedir(), "go", "bin")];
export const S3_SERVER = DIRECTORIES.map((directory) => join(directory, "versitygw")).find(existsSync);

const KEYS = { AWS_ACCESS_KEY_ID: "tests", AWS_SECRET_ACCESS_KEY: "secret of the tests" };
const STARTED_MAX_MS = 20_000;

export interface TestS3 {
  /** `host:port`. */
  readonly address: string;
  /** What the SDK wants to know, in the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends the server as an outage would; what it holds stays. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A server with an empty bucket. */
export async function startTestS3(bucket: string): Promise<TestS3> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-s3-"));
  await mkdir(join(directory, bucket));
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  let server: ChildProcess | null = null;
  const start = async () => {
    const keys = ["--access", KEYS.AWS_ACCESS_KEY_ID, "--secret", KEYS.AWS_SECRET_ACCESS_KEY];
    const args = [...keys, "--port", address, "--region", "us-east-1", "--health", "/health", "posix", directory];
    server = spawn(S3_SERVER as string, args, { stdio: "ignore" });
    await vi.waitFor(async () => (await fetch(`http://${address}/health`)).ok || Promise.reject(new Error("not yet")), {
      timeout: STARTED_MAX_MS,
    });
  };
  const kill = async () => {
    if (server) await end(server);
    server = null;
  };
  await start();
  return {
    address,
    env: { ...KEYS, AWS_REGION: "us-east-1", AWS_ENDPOINT_URL: `http://${address}` },
    start,
    kill,
    stop: async () => {
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
