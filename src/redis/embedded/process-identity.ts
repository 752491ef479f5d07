import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { childEnvironment } from "./environment.ts";
import { codeOf } from "./failures.ts";

/** A process, told apart from later ones that get the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The moment of its start as the system words it; null where the system does not tell. */
  readonly startedAt: string | null;
}

export function identityOf(pid: number): ProcessIdentity {
  return { pid, startedAt: statOf(pid)?.startedAt ?? null };
}

/** Whether the process still runs. One that has ended but was not yet waited for by its parent (a zombie) does not. */
export function isAlive(known: ProcessIdentity): boolean {
  if (!answersSignals(known.pid)) return false;
  const now = statOf(known.pid);
  if (now === undefined) return true;
  return !now.ended && (known.startedAt === null || known.startedAt === now.startedAt);
}

/** Whether it is certain that the number still means this process, so that a signal will not hit another one. */
export function isCertain(known: ProcessIdentity): boolean {
  return known.startedAt !== null && known.startedAt === statOf(known.pid)?.startedAt;
}

export function formatIdentity(known: ProcessIdentity): string {
  return `${JSON.stringify(known)}\n`;
}

/** Undefined for text that names no process. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("pid" in value) || !("startedAt" in value)) return undefined;
    const { pid, startedAt } = value;
    if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return typeof startedAt === "string" || startedAt === null ? { pid, startedAt } : undefined;
  } catch {
    return undefined;
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

interface ProcessStat {
  readonly startedAt: string;
  readonly ended: boolean;
}

/** Undefined where the system does not tell, as when it hides the processes of other users. */
function statOf(pid: number): ProcessStat | undefined {
  const stat = contentOf(`/proc/${pid}/stat`);
  if (stat === undefined) return contentOf("/proc/self/stat") === undefined ? statByPs(pid) : undefined;
  // The second field is the program's name in brackets, which may itself hold spaces and brackets.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const boot = contentOf("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
  // Field 22 counts from the boot of the machine, so that it says nothing without naming the boot.
  return { startedAt: `${boot}/${fields[19]}`, ended: fields[0] === "Z" || fields[0] === "X" };
}

/** For systems without /proc, such as macOS. */
export function statByPs(pid: number): ProcessStat | undefined {
  const { stdout, status } = spawnSync("ps", ["-o", "stat=", "-o", "lstart=", "-p", String(pid)], {
    env: { ...childEnvironment(), TZ: "UTC" },
    encoding: "utf8",
  });
  const [, state, startedAt] = /^\s*(\S+)\s+(\S.*\S)\s*$/.exec(stdout ?? "") ?? [];
  if (status !== 0 || state === undefined || startedAt === undefined) return undefined;
  return { startedAt, ended: state.startsWith("Z") };
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
