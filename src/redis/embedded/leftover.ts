import { writeFileSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { StartupError } from "../../core/errors.ts";
import { codeOf } from "./failures.ts";
import { probe } from "./probe.ts";
import {
  formatIdentity,
  identityOf,
  isAlive,
  isCertain,
  type ProcessIdentity,
  parseIdentity,
} from "./process-identity.ts";

/**
 * After a `kill -9` of the owner its Redis stops by itself, but needs a moment for it. The next owner must not start a
 * second Redis on the same files before that, so it looks for the one that this file names.
 */
const RECORD = "server.pid";

const ASK_AFTER_MS = 1_000;
const KILL_AFTER_MS = 12_000;
const GIVE_UP_AFTER_MS = 15_000;
const LOOK_EVERY_MS = 50;

/** Synchronous, so that nothing happens between the birth of the process and its being on record. */
export function recordServer(redisDir: string, pid: number): void {
  writeFileSync(join(redisDir, RECORD), formatIdentity(identityOf(pid)), { mode: 0o600 });
}

export async function forgetServer(redisDir: string): Promise<void> {
  await rm(join(redisDir, RECORD), { force: true });
}

/** Returns when no Redis of a former owner works on the directory any more; throws a StartupError if one stays. */
export async function awaitNoLeftover(redisDir: string, socket: string): Promise<void> {
  const recorded = parseIdentity(await readFile(join(redisDir, RECORD), "utf8").catch(() => ""));
  const begun = performance.now();
  let asked = false;
  while (await worksStill(recorded, socket)) {
    const waited = performance.now() - begun;
    if (waited > GIVE_UP_AFTER_MS) {
      const which = recorded === undefined ? "" : ` (process ${recorded.pid})`;
      throw new StartupError(`an earlier Redis${which} still works on ${redisDir} and does not end; stop it first`);
    }
    if (waited > KILL_AFTER_MS) signal(recorded, "SIGKILL");
    else if (waited > ASK_AFTER_MS && !asked) {
      signal(recorded, "SIGTERM");
      asked = true;
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** The record cannot name a Redis in another container that has the same directory; its socket answers all the same. */
async function worksStill(recorded: ProcessIdentity | undefined, socket: string): Promise<boolean> {
  if (recorded !== undefined && isCertain(recorded) && isAlive(recorded)) return true;
  return (await probe({ path: socket })).state !== "absent";
}

function signal(recorded: ProcessIdentity | undefined, name: NodeJS.Signals): void {
  // By now the number may mean a stranger, who is not to be harmed.
  if (recorded === undefined || !isCertain(recorded)) return;
  try {
    process.kill(recorded.pid, name);
  } catch (error) {
    if (codeOf(error) !== "ESRCH" && codeOf(error) !== "EPERM") throw error;
  }
}
