import { setTimeout as pause } from "node:timers/promises";
import { Connections, type RedisClient } from "../src/redis/client.ts";
import { BARE_FIELD, BARE_HASH, type Bare, startBare } from "./bare.ts";
import { readHolds, SLOWER_THAN_MICROS, watchHolds } from "./holds.ts";
import { findTotalFaults } from "./lookups.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";
import { seededRandom, zipf } from "./random.ts";
import { exactRows, fixed, type Row, whole } from "./report.ts";
import type { RunOptions } from "./run.ts";
import { prepareSender, whileSending } from "./sender.ts";
import { type Service, startService } from "./service.ts";
import { demand, requestOf, Wire } from "./wire.ts";
import { COUNTER, makeWorkload, SUBJECTS, type Workload, type WorkloadOptions, ZIPF_EXPONENT } from "./workload.ts";

const MINUTE_MS = 60_000;
/** How long events are sent for each kind of lookup, at the rate that was measured before. */
const SECONDS = 15;
/** What is counted before: an hour, thinly, and five minutes so densely that nearly all keys are in them. */
const HOUR_EVENTS_PER_MINUTE = 2_000;
const DENSE_MINUTES = 5;
const DENSE_EVENTS_PER_MINUTE = 120_000;
/** Lookups of a kind before those that are measured, so that no code is new to the service. */
const WARM_UP = 100;
/** The mean pause before each request, ms: without one, each would begin at the moment that ended the other. */
const PAUSE_MS = 3;
/** The hour stays open, so that its export is not measured with one kind of lookup and over with the next. */
const VIEWS = { ...COUNTER, lateness: "2h" };

const KINDS = ["value", "series", "top"] as const;
type Kind = (typeof KINDS)[number];

/** What is asked for; the key, where there is one, as popular as it is among events. */
const PATHS: Readonly<Record<Kind, (key: string) => string>> = {
  value: (key) => `value?key=${key}&last=5m`,
  series: (key) => `series?key=${key}&window=1m&last=60m`,
  top: () => "top?limit=10&last=5m",
};
const GOALS: Readonly<Record<Kind, string>> = {
  value: "goal for p99: 2, at most 3",
  series: "goal for p99: 3",
  top: "goal for p50: 3, at most 6",
};

export interface LookupFigures {
  /** Of the events sent meanwhile. */
  readonly ingestedPerSecond: number;
  readonly lookupMs: Quantiles;
  readonly hgetMs: Quantiles;
  readonly ratioP50: number;
  readonly ratioP99: number;
  /** The longest single command of Redis that the lookups called, ms; 0: too short to be logged. */
  readonly longestCommandMs: number;
}

export type UnderIngestFigures = { readonly faults: readonly string[] } & Readonly<Record<Kind, LookupFigures>>;

interface Scene {
  readonly options: RunOptions;
  readonly rate: number;
  readonly service: Service;
  readonly bare: Bare;
  readonly client: RedisClient;
  /** All that was sent, oldest first. */
  readonly sent: Workload[];
  readonly faults: string[];
}

/** Lookups while events come as fast as they are taken, in turns with a bare server that asks the same Redis. */
export async function measureUnderIngest(options: RunOptions, rate: number): Promise<UnderIngestFigures> {
  const service = await startService({ partitions: options.partitions, profileDir: null, counters: [VIEWS] });
  const connections = new Connections({ kind: "single", options: { path: service.redisSocket } }, () => {});
  try {
    const client = await connections.open("prompt");
    await client.hset(BARE_HASH, BARE_FIELD, 1);
    const bare = await startBare({ path: service.redisSocket });
    try {
      const scene: Scene = { options, rate, service, bare, client, sent: [], faults: [] };
      await sendHistory(scene);
      const value = await measureKind(scene, "value");
      const series = await measureKind(scene, "series");
      const top = await measureKind(scene, "top");
      return { faults: scene.faults, value, series, top };
    } finally {
      bare.stop();
    }
  } finally {
    connections.closeAll();
    await service.stop();
  }
}

/** Sends so many events and waits for them to be counted; does the step meanwhile. Answers the seconds of sending. */
async function ingest(scene: Scene, span: Omit<WorkloadOptions, "seed">, step?: () => Promise<void>): Promise<number> {
  const { options, service, sent, faults } = scene;
  const { batch, connections } = options;
  // Ids differ by the seed, since spans may meet.
  const preparation = { ...span, seed: options.seed + sent.length };
  const sender = await prepareSender({ workload: preparation, url: service.url, batch, connections });
  try {
    const workload = makeWorkload(preparation);
    sent.push(workload);
    const { startedAt, endedAt } = await (step ? whileSending(sender, step) : sender.send());
    const count = sent.reduce((sum, { events, copies }) => sum + events - copies, 0);
    faults.push(...(await findTotalFaults(service.url, sent[0] ?? workload, { counter: VIEWS.name, count })));
    return (endedAt - startedAt) / 1_000;
  } finally {
    sender.stop();
  }
}

async function sendHistory(scene: Scene): Promise<void> {
  const { events } = scene.options;
  const now = Date.now();
  const rateOf = (perMinute: number) => (perMinute * 1_000) / MINUTE_MS;
  const hour = Math.min(events, HOUR_EVENTS_PER_MINUTE * 60);
  const dense = Math.min(events, DENSE_EVENTS_PER_MINUTE * DENSE_MINUTES);
  await ingest(scene, {
    events: hour,
    endsAt: now - DENSE_MINUTES * MINUTE_MS,
    rate: rateOf(hour / (60 - DENSE_MINUTES)),
  });
  await ingest(scene, { events: dense, endsAt: now, rate: rateOf(dense / DENSE_MINUTES) });
}

async function measureKind(scene: Scene, kind: Kind): Promise<LookupFigures> {
  const { options, rate, service, bare, client } = scene;
  const [ours, theirs] = [new Wire(service.url), new Wire(bare.url)];
  try {
    const [lookups, hgets]: [number[], number[]] = [[], []];
    const hget = requestOf("GET", `${bare.url}/value`);
    const next = lookupsOf(kind, service.url, options.seed);
    const step = async () => {
      lookups.push(await timed(ours, next()));
      hgets.push(await timed(theirs, hget));
    };
    while (lookups.length < WARM_UP) await step();
    [lookups.length, hgets.length] = [0, 0];
    const events = Math.min(options.events, Math.round(rate * SECONDS));
    await watchHolds(client);
    const seconds = await ingest(scene, { events, rate, endsAt: Date.now() + (events / rate) * 1_000 }, step);
    const [lookupMs, hgetMs] = [quantilesOf(lookups), quantilesOf(hgets)];
    return {
      ingestedPerSecond: events / seconds,
      lookupMs,
      hgetMs,
      ratioP50: lookupMs.p50 / hgetMs.p50,
      ratioP99: lookupMs.p99 / hgetMs.p99,
      longestCommandMs: await longestOfLookups(client),
    };
  } finally {
    ours.close();
    theirs.close();
  }
}

/** What lookups call in Redis, and ingest does not. */
const CALLED_BY_LOOKUPS = ["hmget", "zrange", "pfcount", "sum"];

/** ms; 0 when none was long enough to be looked at. */
async function longestOfLookups(client: RedisClient): Promise<number> {
  const { commands } = await readHolds(client, "apply");
  return Math.max(0, ...CALLED_BY_LOOKUPS.map((name) => commands[name]?.max ?? 0));
}

function lookupsOf(kind: Kind, url: string, seed: number): () => Buffer {
  const random = seededRandom(seed);
  const draw = zipf(SUBJECTS, ZIPF_EXPONENT);
  return () => {
    const key = encodeURIComponent(`/page/${draw(random)}`);
    return requestOf("GET", `${url}/v1/counters/${VIEWS.name}/${PATHS[kind](key)}`);
  };
}

async function timed(wire: Wire, request: Buffer): Promise<number> {
  await pause(2 * PAUSE_MS * Math.random());
  const began = performance.now();
  await demand(wire, request, 200);
  return performance.now() - began;
}

export function underIngestRows(figures: UnderIngestFigures): Row[] {
  const of = ({ p50, p99 }: Quantiles) => `${fixed(p50)} / ${fixed(p99)}`;
  const longest = (ms: number) => (ms === 0 ? `< ${SLOWER_THAN_MICROS / 1_000}` : fixed(ms));
  const rows = KINDS.flatMap((kind): Row[] => {
    const { lookupMs, hgetMs, ratioP50, ratioP99, longestCommandMs, ingestedPerSecond } = figures[kind];
    return [
      [`${kind}, p50 / p99, ms`, of(lookupMs), `${whole(lookupMs.samples)}, at ${whole(ingestedPerSecond)} events/s`],
      ["  HGET, bare server", of(hgetMs), `${whole(hgetMs.samples)}, in turns with them`],
      ["  ratios", `${fixed(ratioP50)} / ${fixed(ratioP99)}`, GOALS[kind]],
      ["  longest command, ms", longest(longestCommandMs), "of those that lookups call in Redis; goal 5"],
    ];
  });
  return [...rows, ...exactRows(figures.faults, "total after each kind")];
}
