import { homedir } from "node:os";
import { join } from "node:path";

/** The one place of the embedded Redis that reads the process environment. */

/** The directories in which programs are looked for, as in `PATH`. */
export function searchPath(): string {
  return process.env.PATH ?? "";
}

/** Where a fetched Redis is kept between runs. */
export function defaultCacheDir(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tallymark");
}

/** The environment of a child: our own (a proxy may be set there), with messages in English so that we can read them. */
export function childEnvironment(libraryPath?: string): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env, LC_ALL: "C" };
  if (libraryPath !== undefined) environment.LD_LIBRARY_PATH = libraryPath;
  return environment;
}
