import { readFileSync } from "node:fs";
import type { RedisClient } from "../src/redis/client.ts";

/** USER_HZ, in which /proc counts: 100 on every architecture that Linux runs Node on. */
const TICKS_PER_SECOND = 100;

/** CPU time of a process, seconds. */
export interface CpuTime {
  /** Of all its threads, user and system. */
  readonly own: number;
  /** Of its children that have ended, such as those that rewrite Redis's append-only file. */
  readonly children: number;
}

export function readCpuTime(pid: number): CpuTime {
  // proc(5): the name in parentheses may hold anything; utime is field 14, so the 12th after it.
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15);
  return { own: (utime + stime) / TICKS_PER_SECOND, children: (cutime + cstime) / TICKS_PER_SECOND };
}

export function cpuBetween(before: CpuTime, after: CpuTime): CpuTime {
  return { own: after.own - before.own, children: after.children - before.children };
}

/** How long the first thread of a process could have run and had to wait for a core, ms since its start. */
export function readRunDelay(pid: number): number {
  // https://docs.kernel.org/scheduler/sched-stats.html: time run, time waited (both ns), turns.
  return Number(readFileSync(`/proc/${pid}/schedstat`, "latin1").split(" ")[1]) / 1e6;
}

/** CPU time that all processes of the machine have used, seconds. Time stolen by a hypervisor counts as used. */
export function readMachineCpuTime(): number {
  // proc(5): user, nice, system, idle, iowait, irq, softirq, steal.
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

/** Microseconds spent in each command since the server started, by name. */
export type CommandTimes = ReadonlyMap<string, number>;

export async function readCommandTimes(client: RedisClient): Promise<CommandTimes> {
  const info = await client.info("commandstats");
  return new Map(
    [...info.matchAll(/^cmdstat_([^:]+):calls=\d+,usec=(\d+)/gm)].map(([, name, usec]) => [
      name as string,
      Number(usec),
    ]),
  );
}

/** Where Redis's time went, in microseconds. Redis measures by the wall clock: on a busy machine, more than its CPU. */
export interface RedisSplit {
  /** Commands that clients called, largest first. `evalsha` contains `script` and `lua`. */
  readonly commands: Readonly<Record<string, number>>;
  /** Commands that scripts called. */
  readonly script: Readonly<Record<string, number>>;
  /** Lua itself: what `evalsha` took beyond the commands that it called. */
  readonly lua: number;
  /** CPU time outside commands: sockets, parsing, the append-only file. */
  readonly outside: number;
}

const CALLED_BY_CLIENTS = new Set(["evalsha", "eval", "xadd", "xreadgroup", "hgetall", "hmget", "pfcount", "info"]);

export function splitRedisTime(before: CommandTimes, after: CommandTimes, cpuSeconds: number): RedisSplit {
  const spent = [...after]
    .map(([name, usec]) => [name, usec - (before.get(name) ?? 0)] as const)
    .filter(([, usec]) => usec > 0)
    .sort(([, a], [, b]) => b - a);
  const commands = spent.filter(([name]) => CALLED_BY_CLIENTS.has(name));
  const script = spent.filter(([name]) => !CALLED_BY_CLIENTS.has(name));
  const sum = (some: readonly (readonly [string, number])[]) => some.reduce((total, [, usec]) => total + usec, 0);
  const scripts = sum(commands.filter(([name]) => name === "evalsha" || name === "eval"));
  return {
    commands: Object.fromEntries(commands),
    script: Object.fromEntries(script),
    lua: scripts - sum(script),
    outside: cpuSeconds * 1e6 - sum(commands),
  };
}

export async function readUsedMemory(client: RedisClient): Promise<number> {
  const info = await client.info("memory");
  return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
}

/** Memory of a process that is in RAM, bytes. */
export function readResidentMemory(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kilobytes) * 1024;
}
