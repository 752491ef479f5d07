import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../load/random.ts";
import type { TestPostgres } from "../support/postgres.ts";
import { COUNTING, type TcpProxy } from "../support/proxy.ts";
import type { Fleet } from "./fleet.ts";
import type { Member } from "./member.ts";
import { fillMemory } from "./memory.ts";
import type { RedisProcess } from "./redis-process.ts";

/** What faults act on. */
export interface World {
  readonly fleet: Fleet;
  readonly redis: RedisProcess;
  /** `null` where no Postgres is installed. */
  readonly database: TestPostgres | null;
  /** Between all processes and Redis. */
  readonly proxy: TcpProxy;
  readonly random: Random;
  readonly streams: readonly string[];
  readonly violations: string[];
}

/** Faults of one target never overlap; those of different targets may. */
type Target = "worker" | "api" | "jobs" | "redis" | "database" | "network";

interface FaultKind {
  readonly target: Target;
  /** `member`: a process with the target's role, where it is one. Resolves when the fault is over. */
  run(world: World, member: Member): Promise<void>;
}

/** How long a fault waits for the command that it is to meet, ms. */
const MEET_MS = 5_000;

/** Between two bounds, ms. */
const lasting = ({ random }: World, from: number, to: number) => delay(from + random.below(to - from));

async function freeze(world: World, process: Pick<Member, "signal">, from: number, to: number): Promise<void> {
  process.signal("SIGSTOP");
  await lasting(world, from, to);
  process.signal("SIGCONT");
}

async function meet(proxy: TcpProxy, met: Promise<void>): Promise<void> {
  await Promise.race([met, delay(MEET_MS)]);
  proxy.clear();
}

/** Every kind of fault. More kinds, and more targets, go here. */
export const FAULTS = {
  "worker killed": { target: "worker", run: async (_, member) => member.kill() },
  "ingest killed": { target: "api", run: async (_, member) => member.kill() },
  "worker frozen beyond its lease": {
    target: "worker",
    run: (world, member) => freeze(world, member, 6_000, 8_000),
  },
  "jobs killed": { target: "jobs", run: async (_, member) => member.kill() },
  "jobs frozen": {
    target: "jobs",
    run: (world, member) => freeze(world, member, 2_000, 8_000),
  },
  "database killed": {
    target: "database",
    run: async (world) => {
      await world.database?.kill();
      await lasting(world, 500, 4_000);
      await world.database?.start();
    },
  },
  "database sessions ended": {
    target: "database",
    run: async (world) => {
      for (const end = performance.now() + 1_000; performance.now() < end; ) await world.database?.endSessions();
    },
  },
  "Redis killed": {
    target: "redis",
    run: async (world) => {
      await world.redis.kill();
      await lasting(world, 100, 1_500);
      await world.redis.start();
    },
  },
  "Redis frozen": {
    target: "redis",
    run: async (world) => {
      await freeze(world, world.redis, 1_000, 3_000);
      await world.redis.untilUp();
    },
  },
  "clients paused": {
    target: "redis",
    run: async ({ redis, random }) => {
      await redis.client.client("PAUSE", 500 + random.below(2_500), "ALL");
      await redis.untilUp();
    },
  },
  "scripts flushed": { target: "redis", run: async ({ redis }) => void (await redis.client.script("FLUSH")) },
  "memory full": { target: "redis", run: fillMemory },
  "network slow": {
    target: "network",
    run: async (world) => {
      world.proxy.delayMs = 20 + world.random.below(180);
      await lasting(world, 1_000, 3_000);
      world.proxy.delayMs = 0;
    },
  },
  "network stalled": {
    target: "network",
    run: async (world) => {
      world.proxy.frozen = true;
      await lasting(world, 1_000, 7_000);
      world.proxy.frozen = false;
    },
  },
  "network gone (black hole)": {
    target: "network",
    run: async (world) => {
      world.proxy.frozen = true;
      await lasting(world, 1_000, 7_000);
      world.proxy.cut();
      world.proxy.frozen = false;
    },
  },
  "reply to a write lost": {
    target: "network",
    run: ({ proxy }) => meet(proxy, proxy.loseReplyTo("xadd")),
  },
  "reply to a script lost": {
    target: "network",
    run: ({ proxy }) => meet(proxy, proxy.loseReplyTo(COUNTING)),
  },
  "script delivered late": {
    target: "network",
    run: async ({ proxy, random }) => {
      const afterMs = 3_000 + random.below(4_000);
      await meet(proxy, proxy.deliverLate(COUNTING, afterMs));
      await delay(afterMs);
    },
  },
  "connections half closed": { target: "network", run: async ({ proxy }) => proxy.halfClose() },
  "connections cut": { target: "network", run: async ({ proxy }) => proxy.cut() },
} as const satisfies Record<string, FaultKind>;

export type FaultName = keyof typeof FAULTS;
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

/** Whether a fault needs a database. */
export const needsDatabase = (name: FaultName): boolean => ["jobs", "database"].includes(FAULTS[name].target);
