import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { childEnvironment } from "./environment.ts";
import { codeOf, reasonOf } from "./failures.ts";

const run = promisify(execFile);
const COMMAND_WITHIN_MS = 120_000;

/**
 * What apt must do otherwise than the system says. The hooks are cleared because they work on the system's own
 * directories. No sandbox user: as root, apt would hand its downloads to a user who may not enter our cache. No locks:
 * the only one left is dpkg's, which needs root and guards an installation that never happens here.
 */
const PRIVATE_SETTINGS = `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Debug::NoLocking "true";
`;

export interface Apt {
  readonly aptGet: string;
  readonly dpkg: string;
}

/** Prepares a directory in which apt keeps everything that it writes; answers the arguments that make it do so. */
async function privateArguments(directory: string): Promise<string[]> {
  for (const part of ["state", "lists/partial", "cache/archives/partial", "log"]) {
    await mkdir(join(directory, part), { recursive: true });
  }
  const settings = join(directory, "apt.conf");
  await writeFile(settings, PRIVATE_SETTINGS);
  const directories = {
    "Dir::State": join(directory, "state"),
    "Dir::State::lists": join(directory, "lists"),
    // The system's own: from it apt knows which libraries are here already.
    "Dir::State::status": "/var/lib/dpkg/status",
    "Dir::Cache": join(directory, "cache"),
    "Dir::Log": join(directory, "log"),
  };
  // Directories are given as arguments since a settings file could not hold every path.
  return ["-q", "-c", settings, ...Object.entries(directories).flatMap(([name, path]) => ["-o", `${name}=${path}`])];
}

/** Downloads a package and those it needs that this system lacks, and unpacks them all under `<directory>/root`. */
export async function unpackPackage(apt: Apt, name: string, directory: string): Promise<string> {
  const settings = await privateArguments(directory);
  // One unreachable source of several fails the update, and does not matter if another one has the package.
  const updateFault = await command(apt.aptGet, [...settings, "update"]).catch(reasonOf);
  try {
    const request = ["--yes", "--no-install-recommends", "--reinstall", "--download-only", "install", name];
    await command(apt.aptGet, [...settings, ...request]);
  } catch (error) {
    throw new Error([updateFault, reasonOf(error)].filter(Boolean).join("; "));
  }
  const root = join(directory, "root");
  const archives = join(directory, "cache", "archives");
  for (const archive of (await readdir(archives)).filter((file) => file.endsWith(".deb"))) {
    await command(apt.dpkg, ["--extract", join(archives, archive), root]);
  }
  return root;
}

async function command(program: string, args: readonly string[]): Promise<void> {
  try {
    await run(program, args, {
      env: childEnvironment(),
      timeout: COMMAND_WITHIN_MS,
      killSignal: "SIGKILL",
      maxBuffer: 64 * 1024 * 1024,
    });
  } catch (error) {
    throw new Error(`${program} ${args.at(-1)}: ${faultOf(error)}`);
  }
}

/** The lines that apt marks as errors, or whatever else there is to say. */
function faultOf(error: unknown): string {
  if (error instanceof Error && "killed" in error && error.killed === true) {
    return `no end after ${COMMAND_WITHIN_MS / 1000} s`;
  }
  const output = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const marked = lines.filter((line) => line.startsWith("E:"));
  return (marked.length > 0 ? marked : lines).slice(-3).join(" ") || (codeOf(error) ?? reasonOf(error));
}
