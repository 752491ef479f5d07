import { randomUUID } from "node:crypto";
import { link, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StartupError } from "../../core/errors.ts";
import { codeOf } from "./failures.ts";
import { formatIdentity, identityOf, isAlive, type ProcessIdentity, parseIdentity } from "./process-identity.ts";

/**
 * One owner per data directory. The lock is a file `lock.N`; the highest N counts. Whoever finds its owner gone makes
 * `lock.N+1`, which only one can, and owns the directory if that is the highest afterwards. A number is never used
 * again (a released lock stays, saying so), and no file is removed that is the highest: with a single file, a slow
 * process could remove, as a dead owner's, the lock that a faster one had just made in its place.
 */
const LOCK_FILE = /^lock\.(\d+)$/;
const RELEASED = "released\n";

export interface DirectoryLock {
  release(): Promise<void>;
}

/** Throws a StartupError that names the owner, if there is one. */
export async function lockDirectory(dataDir: string): Promise<DirectoryLock> {
  const highest = await highestLock(dataDir);
  if (highest > 0) {
    const owner = await ownerOf(dataDir, highest);
    if (owner !== undefined && isAlive(owner)) throw inUse(dataDir, owner);
  }
  const ours = highest + 1;
  const rival = (await create(dataDir, ours)) ? await higherThan(dataDir, ours) : await highestLock(dataDir);
  if (rival !== undefined) throw inUse(dataDir, await ownerOf(dataDir, rival));
  await removeBelow(dataDir, ours);
  // Where the release cannot be written, on a full disk say, the lock ends with this process.
  return { release: () => replace(dataDir, ours, RELEASED).catch(() => {}) };
}

async function highestLock(dataDir: string): Promise<number> {
  const numbers = (await readdir(dataDir)).map((name) => Number(LOCK_FILE.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

/** If another process was faster by a whole turn, our own number means nothing and goes. */
async function higherThan(dataDir: string, ours: number): Promise<number | undefined> {
  const highest = await highestLock(dataDir);
  if (highest === ours) return undefined;
  await rm(lockPath(dataDir, ours), { force: true });
  return highest;
}

/** Undefined for a released lock, and for one that is gone by now. */
async function ownerOf(dataDir: string, number: number): Promise<ProcessIdentity | undefined> {
  return parseIdentity(await readFile(lockPath(dataDir, number), "utf8").catch(() => ""));
}

/** Makes the lock with its content in one step; false if somebody else has made it. */
async function create(dataDir: string, number: number): Promise<boolean> {
  const draft = draftPath(dataDir);
  await writeFile(draft, formatIdentity(identityOf(process.pid)), { mode: 0o600 });
  try {
    await link(draft, lockPath(dataDir, number));
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function replace(dataDir: string, number: number, content: string): Promise<void> {
  const draft = draftPath(dataDir);
  await writeFile(draft, content, { mode: 0o600 });
  await rename(draft, lockPath(dataDir, number));
}

async function removeBelow(dataDir: string, ours: number): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const number = Number(LOCK_FILE.exec(name)?.[1] ?? ours);
    if (number < ours) await rm(join(dataDir, name), { force: true });
  }
}

function lockPath(dataDir: string, number: number): string {
  return join(dataDir, `lock.${number}`);
}

function draftPath(dataDir: string): string {
  return join(dataDir, `lock-draft.${randomUUID()}`);
}

function inUse(dataDir: string, owner: ProcessIdentity | undefined): StartupError {
  const who = owner === undefined ? "another process that starts at this moment" : `process ${owner.pid}`;
  return new StartupError(`${dataDir} is in use by ${who}; stop it or choose another TALLYMARK_DATA_DIR`);
}
