import { setTimeout as pause } from "node:timers/promises";
import { findTotalFaults } from "./lookups.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";
import { exactRows, fixed, type Row, whole } from "./report.ts";
import type { RunOptions } from "./run.ts";
import { prepareSender, whileSending } from "./sender.ts";
import { startService } from "./service.ts";
import { demand, requestOf, Wire } from "./wire.ts";
import { COUNTER, makeWorkload } from "./workload.ts";

const SECONDS = 20;
/** Probes of the first seconds are left out: code that runs often is compiled by then. */
const WARM_UP_MS = 3_000;
const SHARE_OF_RATE = 0.5;
const IDLE_PROBES = 100;
/** The mean pause between probes; it varies, so that probes do not keep step with the requests. */
const PROBE_MS = 50;
const LOOK_EVERY_MS = 1;
const VISIBLE_MAX_MS = 30_000;
/** One series in one window: a look reads one cell. */
const PROBES = { name: "probes", event: "probe", by: [], windows: ["1d"], top: false } as const;

export interface LatencyFigures {
  readonly faults: readonly string[];
  readonly askedPerSecond: number;
  readonly eventsPerSecond: number;
  /** From the answer to a probe until a lookup has answered with it, ms. */
  readonly idleMs: Quantiles;
  readonly loadedMs: Quantiles;
}

/** How long an accepted event takes to be seen, with nothing else to do and at half of the given rate. */
export async function measureLatency(options: RunOptions, maximum: number): Promise<LatencyFigures> {
  const { seed, partitions, batch, connections } = options;
  const service = await startService({ partitions, profileDir: null, counters: [COUNTER, PROBES] });
  const { url } = service;
  const wire = new Wire(url);
  try {
    const eventsPerSecond = maximum * SHARE_OF_RATE;
    const events = Math.min(options.events, Math.round(eventsPerSecond * SECONDS));
    const preparation = { seed, events, endsAt: Date.now() };
    const sender = await prepareSender({ workload: preparation, url, batch, connections, eventsPerSecond });
    try {
      const probe = probing(wire, url);
      const idle: number[] = [];
      while (idle.length < IDLE_PROBES) idle.push(await probe());
      const loaded: number[] = [];
      const warming: number[] = [];
      const warmAt = performance.now() + WARM_UP_MS;
      const sent = await whileSending(sender, async () => {
        const isWarm = performance.now() >= warmAt;
        (isWarm ? loaded : warming).push(await probe());
      });
      const workload = makeWorkload(preparation);
      const count = events - workload.copies;
      const [probes, counted] = [idle.length + warming.length + loaded.length, await countProbes(wire, url)];
      return {
        faults: [
          ...(await findTotalFaults(url, workload, { counter: COUNTER.name, count })),
          ...(counted === probes ? [] : [`probes: ${counted} instead of ${probes}`]),
        ],
        askedPerSecond: eventsPerSecond,
        eventsPerSecond: events / ((sent.endedAt - sent.startedAt) / 1_000),
        idleMs: quantilesOf(idle),
        loadedMs: quantilesOf(loaded),
      };
    } finally {
      sender.stop();
    }
  } finally {
    wire.close();
    await service.stop();
  }
}

/**
 * Sends a probe after a pause, and looks until it is counted: ms from its being accepted. `wait=applied` would say
 * when the service thinks so; a lookup is what others see, and its own time is part of the figure.
 */
function probing(wire: Wire, url: string): () => Promise<number> {
  const event = requestOf("POST", `${url}/v1/events`, JSON.stringify({ type: PROBES.event }));
  let sent = 0;
  return async () => {
    await pause(PROBE_MS * (0.5 + Math.random()));
    await demand(wire, event, 202);
    const acceptedAt = performance.now();
    sent++;
    while ((await countProbes(wire, url)) < sent) {
      if (performance.now() - acceptedAt > VISIBLE_MAX_MS) throw new Error(`probe ${sent} did not become visible`);
      await pause(LOOK_EVERY_MS);
    }
    return performance.now() - acceptedAt;
  };
}

/** Over two days, since a run may see midnight. */
async function countProbes(wire: Wire, url: string): Promise<number> {
  const look = requestOf("GET", `${url}/v1/counters/${PROBES.name}/value?last=2d`);
  return (JSON.parse(await demand(wire, look, 200)) as { count: number }).count;
}

export function latencyRows({ idleMs, loadedMs, ...figures }: LatencyFigures): Row[] {
  const of = ({ samples, max }: Quantiles) => `of ${whole(samples)} probes; at most ${fixed(max, 1)}`;
  return [
    ["events/s meanwhile", whole(figures.eventsPerSecond), `asked for: ${whole(figures.askedPerSecond)}`],
    ["p50, ms", fixed(loadedMs.p50, 1), `${of(loadedMs)}; goal 10`],
    ["p99, ms", fixed(loadedMs.p99, 1), "goal 50"],
    ["p50 without load, ms", fixed(idleMs.p50, 1), of(idleMs)],
    ["p99 without load, ms", fixed(idleMs.p99, 1), ""],
    ...exactRows(figures.faults, "all events and probes"),
  ];
}
