import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { childEnvironment } from "./environment.ts";
import { reasonOf } from "./failures.ts";

const run = promisify(execFile);

/** The first release with the append-only file in parts and listpacks, which our settings name. */
const OLDEST_MAJOR = 7;
const ANSWER_WITHIN_MS = 10_000;

/** A server program that has answered `--version`. */
export interface RedisBinary {
  readonly command: string;
  readonly version: string;
  /** Directories of its shared libraries, where the system does not have them. */
  readonly libraryPath?: string;
}

/** Asks a program for its version; throws an Error that says why it cannot be used. */
export async function examine(command: string, libraryPath?: string): Promise<RedisBinary> {
  const version = parseVersion(await versionOutput(command, libraryPath));
  if (version === undefined) throw new Error("its --version is not that of a Redis or Valkey server");
  if (Number.parseInt(version, 10) < OLDEST_MAJOR) {
    throw new Error(`it is version ${version}, and ${OLDEST_MAJOR}.0 is the oldest that will do`);
  }
  return libraryPath === undefined ? { command, version } : { command, version, libraryPath };
}

async function versionOutput(command: string, libraryPath?: string): Promise<string> {
  try {
    const { stdout } = await run(command, ["--version"], {
      env: childEnvironment(libraryPath),
      timeout: ANSWER_WITHIN_MS,
      killSignal: "SIGKILL",
    });
    return stdout;
  } catch (error) {
    // The loader's own words name the library that is missing, which the exit code does not.
    throw new Error(`--version failed: ${reasonOf(error).trim().split("\n").slice(-2).join(" ")}`);
  }
}

/** "Redis server v=7.0.15 sha=…" and "Valkey server v=8.0.1 sha=…" → the version; anything else → undefined. */
export function parseVersion(output: string): string | undefined {
  return /^(?:Redis|Valkey) server v=(\d+\.\d+\.\d+)/m.exec(output)?.[1];
}
