import { readdirSync } from "node:fs";
import type { RedisClient } from "../src/redis/client.ts";
import { type ScriptName, Scripts } from "../src/redis/scripts.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";

/** Commands that take longer are looked at, µs. */
export const SLOWER_THAN_MICROS = 100;
/** Commands of one measurement at most. */
const COMMANDS_MAX = 100_000;

/** The longest that Redis was held meanwhile, by its own clock: by one command, and by what it does beside commands. */
export interface Holds {
  /** By name, longest first: of the calls that were slow enough to be looked at, ms. */
  readonly commands: Readonly<Record<string, Quantiles & { readonly calls: number }>>;
  /** Whole ms by Redis's name of the event (https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor). */
  readonly events: Readonly<Record<string, number>>;
}

export async function watchHolds(client: RedisClient): Promise<void> {
  await client.config("SET", "slowlog-max-len", COMMANDS_MAX);
  await client.config("SET", "slowlog-log-slower-than", SLOWER_THAN_MICROS);
  await client.config("SET", "latency-monitor-threshold", 1);
  await client.slowlog("RESET");
  await client.latency("RESET");
}

/** @param without a script that is not to be counted */
export async function readHolds(client: RedisClient, without: ScriptName): Promise<Holds> {
  const slow = (await client.slowlog("GET", COMMANDS_MAX)) as [number, number, number, string[]][];
  const latest = (await client.latency("LATEST")) as [string, number, number, number][];
  const scripts = await scriptNames();
  const times = new Map<string, number[]>();
  for (const [, , micros, [command = "", digest = ""]] of slow) {
    const name = nameOf(command.toLowerCase(), scripts.get(digest));
    if (name === without) continue;
    const some = times.get(name) ?? [];
    some.push(micros / 1_000);
    times.set(name, some);
  }
  const commands = [...times].map(([name, some]) => [name, { calls: some.length, ...quantilesOf(some) }] as const);
  return {
    commands: Object.fromEntries(commands.sort(([, a], [, b]) => b.max - a.max)),
    // Those of commands are there already, with names and fractions.
    events: Object.fromEntries(
      latest.filter(([name]) => !name.endsWith("command")).map(([name, , , longestMs]) => [name, longestMs]),
    ),
  };
}

function nameOf(command: string, script: string | undefined): string {
  if (command === "eval") return "first call of a script";
  return command === "evalsha" ? (script ?? "a script of BullMQ") : command;
}

/** By digest, which a script tells nobody but the client that runs it. */
async function scriptNames(): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  const scripts = new Scripts();
  for (const file of readdirSync(new URL("../lua", import.meta.url))) {
    const name = file.replace(/\.lua$/, "");
    const noting = { evalsha: async (digest: string) => names.set(digest, name) };
    await scripts.get(name as ScriptName).run(noting as unknown as RedisClient, [], []);
  }
  return names;
}
