import { copyFile, cp, mkdir, mkdtemp, readdir, readlink, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Apt, unpackPackage } from "./apt.ts";
import { examine, type RedisBinary } from "./binary.ts";
import { isExecutable } from "./failures.ts";

/**
 * The private copy is a directory of its own, `redis-XXXXXX`, and `redis` is a symbolic link to it. The link changes in
 * one step, so that a half-made copy is never taken for a good one and two processes that fetch at once both end well.
 */
const LINK = "redis";
const WORK_PREFIX = "fetching-";
const ABANDONED_AFTER_MS = 60 * 60 * 1000;

/** Has the server program of Debian's redis-server package, which is but a link to it, and fewer dependencies. */
const PACKAGE = "redis-tools";
const PROGRAM = "usr/bin/redis-check-rdb";
/** Kept beside the server, where there is one, as the yardstick of `npm run bench`; serving does not need it. */
const BENCHMARK = "usr/bin/redis-benchmark";

export interface FetchOptions extends Apt {
  readonly cacheDir: string;
  readonly log: (message: string) => void;
}

/** The copy fetched earlier, if there is one and it still works. */
export async function privateCopy(cacheDir: string): Promise<RedisBinary | undefined> {
  const home = join(cacheDir, LINK);
  if (!(await isExecutable(join(home, "redis-server")))) return undefined;
  return examineCopy(home).catch(() => undefined);
}

/** Fetches Redis with apt, as any user, without touching the system; throws an Error that says what went wrong. */
export async function fetchRedis(options: FetchOptions): Promise<RedisBinary> {
  const { cacheDir, log } = options;
  log(`no Redis on this machine: fetching a private copy into ${cacheDir} (once; some seconds)`);
  await mkdir(cacheDir, { recursive: true, mode: 0o700 });
  await removeAbandoned(cacheDir);
  // Read before the work: what the link names now does not answer, what it names later may be another process's good copy.
  const broken = await readlink(join(cacheDir, LINK)).catch(() => undefined);
  const work = await mkdtemp(join(cacheDir, WORK_PREFIX));
  try {
    const root = await unpackPackage(options, PACKAGE, work);
    const copy = await assemble(root, work);
    await examineCopy(copy);
    const binary = (await privateCopy(cacheDir)) ?? (await publish(copy, cacheDir, broken));
    log(`fetched Redis ${binary.version}`);
    return binary;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Keeps of the unpacked packages what the server needs: itself and the shared libraries. */
async function assemble(root: string, work: string): Promise<string> {
  const copy = await mkdtemp(join(work, "redis-"));
  // The program decides by its own name whether it is a server or a file checker.
  await copyFile(join(root, PROGRAM), join(copy, "redis-server"));
  await copyFile(join(root, BENCHMARK), join(copy, "redis-benchmark")).catch(() => undefined);
  for (const directory of ["usr/lib", "lib"]) {
    for (const architecture of await readdir(join(root, directory)).catch(() => [])) {
      const libraries = join(root, directory, architecture);
      for (const name of (await readdir(libraries).catch(() => [])).filter((file) => /\.so(\.|$)/.test(file))) {
        await cp(join(libraries, name), join(copy, "lib", name), { verbatimSymlinks: true });
      }
    }
  }
  return copy;
}

async function publish(copy: string, cacheDir: string, broken: string | undefined): Promise<RedisBinary> {
  const home = join(cacheDir, LINK);
  const name = basename(copy);
  await rename(copy, join(cacheDir, name));
  const link = join(cacheDir, `${name}.link`);
  await symlink(name, link);
  await rename(link, home);
  if (broken !== undefined) await rm(join(cacheDir, basename(broken)), { recursive: true, force: true });
  return examineCopy(home);
}

function examineCopy(home: string): Promise<RedisBinary> {
  return examine(join(home, "redis-server"), join(home, "lib"));
}

/** Removes what fetches left that were killed half-way; a young directory may belong to one that is still at work. */
async function removeAbandoned(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (!name.startsWith(WORK_PREFIX)) continue;
    const directory = join(cacheDir, name);
    const changed = await stat(directory).then(
      (found) => found.mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - changed > ABANDONED_AFTER_MS) await rm(directory, { recursive: true, force: true });
  }
}
