import { seededRandom } from "../../load/random.ts";
import { META, partitionKeys } from "../../src/redis/keys.ts";
import { findPostgres, startTestPostgres, type TestPostgres } from "../support/postgres.ts";
import { TcpProxy } from "../support/proxy.ts";
import { Alarms } from "./alarms.ts";
import { Conductor } from "./conductor.ts";
import { COUNTERS, readCounter } from "./counters.ts";
import { drain } from "./drain.ts";
import { needsDatabase } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { Generator } from "./generator.ts";
import { INVARIANTS } from "./invariants/all.ts";
import type { Aftermath, Finding } from "./invariants/invariant.ts";
import { readLate } from "./invariants/late.ts";
import { Ledger } from "./ledger.ts";
import type { Member } from "./member.ts";
import { CounterModel } from "./model.ts";
import type { Plan } from "./plan.ts";
import { copyProduct } from "./product.ts";
import { Reader } from "./reader.ts";
import { RedisProcess } from "./redis-process.ts";
import { sendAll } from "./sender.ts";
import { SideTraffic } from "./side-traffic.ts";
import { Viewers } from "./viewers.ts";
import { until } from "./wait.ts";

const PARTITIONS = 4;
/** How long processes may take to start on a busy machine, ms. */
const READY_MAX_MS = 60_000;
/** Events that are queued before any worker lives: they must be counted, too. */
const QUEUED_FIRST = 1_000;

export interface Result {
  readonly plan: Plan;
  readonly aftermath: Aftermath;
  readonly findings: readonly Finding[];
  readonly seconds: number;
}

export const differencesOf = ({ findings }: Result): string[] =>
  findings.flatMap(({ name, differences }) => differences.map((difference) => `${name}: ${difference}`));

/** One run: everything is started, tortured, healed, drained, compared and removed. */
export async function torture(plan: Plan, say: (text: string) => void): Promise<Result> {
  const start = performance.now();
  const violations: string[] = [];
  const undo: (() => Promise<void>)[] = [];
  try {
    const product = await copyProduct(plan.mutations);
    undo.push(() => product.remove());
    const redis = await RedisProcess.start((how) => violations.push(how));
    undo.push(() => redis.remove());
    const proxy = await TcpProxy.start({ host: "127.0.0.1", port: redis.port });
    undo.push(() => proxy.stop());
    const bin = await findPostgres();
    const database = bin === null ? null : await startTestPostgres(bin);
    if (database) undo.push(() => database.stop());
    const databaseUrl = database?.url ?? null;
    const settings = {
      main: product.main,
      redisPort: proxy.port,
      databaseUrl,
      partitions: PARTITIONS,
      counters: COUNTERS,
      env: plan.env,
    };
    const fleet = await Fleet.prepare(settings);
    undo.push(() => fleet.stop());
    const aftermath = await live({ plan, redis, database, proxy, fleet, violations, say, undo });
    const findings: Finding[] = [];
    for (const invariant of INVARIANTS) {
      findings.push(...(await invariant(aftermath)));
      if (plan.oneIsEnough && findings.some(({ differences }) => differences.length > 0)) break;
    }
    return { plan, aftermath, findings, seconds: (performance.now() - start) / 1_000 };
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

interface Stage {
  readonly plan: Plan;
  readonly redis: RedisProcess;
  readonly database: TestPostgres | null;
  readonly proxy: TcpProxy;
  readonly fleet: Fleet;
  readonly violations: string[];
  readonly say: (text: string) => void;
  readonly undo: (() => Promise<void>)[];
}

/** From the first request to the moment when everything is healed and drained. */
async function live({ plan, redis, database, proxy, fleet, violations, say, undo }: Stage): Promise<Aftermath> {
  const partitions = partitionKeys(PARTITIONS);
  const [ingest, workers] = [fleet.withRole("api"), fleet.withRole("worker")];
  await startMembers(ingest);
  const ledger = new Ledger((await redis.client.hget(META.deployment, "secret")) as string, PARTITIONS);
  const generator = new Generator(seededRandom(plan.seed), plan.traffic);
  const names = COUNTERS.map(({ name }) => name);
  const side = new SideTraffic(redis.client, partitions, ingest, names, seededRandom(plan.seed + 1_000_000));
  const streams = partitions.map(({ stream }) => stream);
  const random = seededRandom(plan.seed + 2_000_000);
  const world = { fleet, redis, database, proxy, random, streams, violations };
  const kinds = plan.kinds.filter((kind) => database !== null || !needsDatabase(kind));
  const conductor = new Conductor(world, { ...plan, kinds }, say);

  const { events, rate, timeoutMs } = plan;
  const toSend = { generator, ledger, ingest, rate, timeoutMs };
  await sendAll({ ...toSend, events: QUEUED_FIRST });
  const reader = new Reader(ingest);
  const alarms = plan.sideTraffic && database ? await Alarms.start(reader) : null;
  if (alarms) undo.push(() => alarms.receiver.stop());
  await startMembers([...workers, ...fleet.withRole("jobs")]);
  const viewers = plan.sideTraffic ? new Viewers(fleet.withRole("live")) : null;
  if (viewers) undo.push(() => viewers.stop());
  // Only now: faults that are to meet traffic begin with it, however long the processes took to start.
  let isSent = false;
  const sending = sendAll({ ...toSend, events: events - QUEUED_FIRST }).finally(() => {
    isSent = true;
  });
  const over = new AbortController();
  const beside = plan.sideTraffic ? side.run(over.signal) : Promise.resolve();
  await Promise.all([sending, conductor.run(() => isSent && conductor.total >= plan.faults)]);
  over.abort();
  await beside;
  say("healed; draining");
  await untilReady(fleet.members);
  const drained = () => drain(redis.client, partitions, database !== null, plan.stallMs);
  await drained();
  say("drained; comparing");

  const late = await readLate(reader, names);
  const models = COUNTERS.map((input) => {
    const ids = new Set((late.get(input.name) ?? []).map(({ event }) => event.id));
    return new CounterModel(readCounter(input), ledger.accepted.values(), ids);
  });
  return {
    database,
    ledger,
    side,
    fleet,
    conductor,
    violations,
    reader,
    redis: redis.client,
    partitions,
    models,
    alarms,
    viewers,
    late,
    drained,
  };
}

async function startMembers(members: readonly Member[]): Promise<void> {
  for (const member of members) member.start();
  await untilReady(members);
}

async function untilReady(members: readonly Member[]): Promise<void> {
  if (await until(async () => members.every(({ url }) => url !== null), READY_MAX_MS)) return;
  const logs = members.filter(({ url }) => url === null).map(({ name, log }) => `${name}: ${log.join("\n")}`);
  throw new Error(`processes did not become ready\n${logs.join("\n")}`);
}
