import { delimiter, join } from "node:path";
import { StartupError } from "../../core/errors.ts";
import { examine, type RedisBinary } from "./binary.ts";
import { isExecutable, reasonOf } from "./failures.ts";
import { fetchRedis, privateCopy } from "./fetch.ts";

export interface LocateOptions {
  /** Directories of programs, as in the environment variable PATH. */
  readonly path: string;
  readonly cacheDir: string;
  readonly log?: (message: string) => void;
}

/** Finds a server of version 7 or later: on PATH, else an earlier private copy, else a freshly fetched one. */
export async function locateRedis(options: LocateOptions): Promise<RedisBinary> {
  const tried: string[] = [];
  for (const name of ["redis-server", "valkey-server"]) {
    const candidates = await programsNamed(name, options.path);
    if (candidates.length === 0) tried.push(`${name}: not on PATH`);
    for (const candidate of candidates) {
      const binary = await examine(candidate).catch((error: unknown) => {
        tried.push(`${candidate}: ${reasonOf(error)}`);
      });
      if (binary) return binary;
    }
  }
  return (await privateCopy(options.cacheDir)) ?? (await fetched(options, tried));
}

async function fetched(options: LocateOptions, tried: string[]): Promise<RedisBinary> {
  const [aptGet] = await programsNamed("apt-get", options.path);
  const [dpkg] = await programsNamed("dpkg", options.path);
  if (aptGet === undefined || dpkg === undefined) {
    tried.push("fetching a private copy: needs apt-get and dpkg, which this system does not have");
    throw nothingFound(tried);
  }
  try {
    return await fetchRedis({ aptGet, dpkg, cacheDir: options.cacheDir, log: options.log ?? (() => {}) });
  } catch (error) {
    tried.push(`fetching a private copy with apt-get: ${reasonOf(error)}`);
    throw nothingFound(tried);
  }
}

async function programsNamed(name: string, path: string): Promise<string[]> {
  const found: string[] = [];
  for (const directory of path.split(delimiter)) {
    if (directory !== "" && (await isExecutable(join(directory, name)))) found.push(join(directory, name));
  }
  return found;
}

function nothingFound(tried: readonly string[]): StartupError {
  return new StartupError(
    [
      "No Redis to run: REDIS_URL is not set, and no usable server was found.",
      ...tried.map((attempt) => `  - ${attempt}`),
      "Install one, or point REDIS_URL at one that runs:",
      "  Debian:  sudo apt-get install redis-server",
      "  macOS:   brew install redis",
      "  Docker:  docker run -d -p 6379:6379 redis:7 --appendonly yes --maxmemory-policy noeviction && export REDIS_URL=redis://127.0.0.1:6379",
    ].join("\n"),
  );
}
