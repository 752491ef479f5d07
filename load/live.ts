import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { FromViewers, ToViewers } from "./live-viewers.ts";
import { readCpuTime, readResidentMemory } from "./measure.ts";
import { post } from "./post.ts";
import { type Service, startService } from "./service.ts";

/** How to run this and read what it prints: README.md beside it. */

const VIEWERS = fileURLToPath(new URL("live-viewers.ts", import.meta.url));
const COUNTER = {
  name: "shop",
  event: ["view", "probe"],
  by: ["subject"],
  sum: "data.probe",
  windows: ["1s", "1m", "1h"],
} as const;
const SUBJECTS = 1_000;
const EVENTS_PER_SECOND = 1_000;
const BATCH_MS = 50;
const PROBE_MS = 250;

/** Fifty that differ: totals, series of a minute to a quarter of an hour, and rankings. */
function fiftySubscriptions(every: string): object[] {
  const of = (n: number, make: (i: number) => object) =>
    Array.from({ length: n }, (_, i) => ({ counter: COUNTER.name, every, ...make(i) }));
  return [
    ...of(20, (i) => ({ feed: "value", last: `${5 + i}m` })),
    ...of(15, (i) => ({ feed: "series", window: i % 2 ? "1m" : "1s", last: `${60 + i}s` })),
    ...of(15, (i) => ({ feed: "top", by: "sum", limit: 5 + i, last: "5m" })),
  ];
}

/** A steady rate of events of now; to stop it waits for what is under way. */
function startTraffic(url: string, agent: Agent): () => Promise<unknown> {
  const underWay = new Set<Promise<unknown>>();
  let sent = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - began) / 1_000) * EVENTS_PER_SECOND) - sent;
    sent += due;
    const events = Array.from({ length: due }, (_, i) => ({
      type: "view",
      subject: `/page/${(sent + i * 7_919) % SUBJECTS}`,
    }));
    if (due === 0) return;
    const posted = post(`${url}/v1/events`, agent, Buffer.from(JSON.stringify(events)));
    underWay.add(posted);
    void posted.finally(() => underWay.delete(posted));
  }, BATCH_MS);
  return () => {
    clearInterval(timer);
    return Promise.all(underWay);
  };
}

/** Sends probes for so long; the times at which each had been applied, ms of the epoch. */
async function probe(url: string, seconds: number): Promise<number[]> {
  const appliedAt: number[] = [];
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; await pause(PROBE_MS)) {
    const body = JSON.stringify({ type: "probe", subject: "/probe", data: { probe: 1 } });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/events?wait=applied`, { method: "POST", headers, body });
    if (response.status !== 200) throw new Error(`a probe was answered ${response.status}`);
    appliedAt.push(performance.timeOrigin + performance.now());
  }
  return appliedAt;
}

async function reply(child: ChildProcess): Promise<FromViewers> {
  const [message] = (await once(child, "message")) as [FromViewers];
  if (message.kind === "failed") throw new Error(`the viewers failed: ${message.reason}`);
  return message;
}

const tell = (child: ChildProcess, message: ToViewers) => child.send(message);

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return text
    .split("\n")
    .filter((line) => line.startsWith(name) && /^[ {]/.test(line.slice(name.length)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

interface Figures {
  readonly every: string;
  readonly appliedToReceivedMs: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly samples: number;
  /** Probes that a viewer had not seen yet in the end; those of the frozen one are among them. */
  readonly missed: number;
  readonly framesPerSecond: number;
  readonly readsPerTick: number;
  /** Of the whole service, share of a core, %. */
  readonly cpuWithViewers: number;
  readonly cpuWithout: number;
  readonly rssWithViewersMb: number;
  readonly rssWithoutMb: number;
  readonly bufferedBytesMost: number;
}

async function cpuShare(pid: number, during: () => Promise<unknown>): Promise<number> {
  const [began, before] = [performance.now(), readCpuTime(pid).own];
  await during();
  return Math.round(((readCpuTime(pid).own - before) / ((performance.now() - began) / 1_000)) * 100);
}

const mb = (bytes: number) => Math.round(bytes / 1024 / 1024);

async function measure({ url, pid }: Service, viewers: number, every: string, seconds: number): Promise<Figures> {
  const agent = new Agent({ keepAlive: true });
  const stopTraffic = startTraffic(url, agent);
  const child = fork(VIEWERS, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  try {
    await pause(3_000); // code that runs often is compiled by then
    const cpuWithout = await cpuShare(pid, () => pause(5_000));
    const rssWithoutMb = mb(readResidentMemory(pid));
    const subscriptions = fiftySubscriptions(every);
    tell(child, { kind: "open", order: { url, viewers, subscriptions } });
    await reply(child);
    const readsBefore = await metric(url, "tallymark_live_read_seconds_count");
    const framesBefore = await metric(url, "tallymark_live_frames_total");
    let bufferedBytesMost = 0;
    const watching = setInterval(async () => {
      bufferedBytesMost = Math.max(bufferedBytesMost, await metric(url, "tallymark_live_buffered_bytes"));
    }, 500);
    let appliedAt: number[] = [];
    const began = performance.now();
    const cpuWithViewers = await cpuShare(pid, async () => {
      appliedAt = await probe(url, seconds);
    });
    const took = (performance.now() - began) / 1_000;
    const reads = (await metric(url, "tallymark_live_read_seconds_count")) - readsBefore;
    const frames = (await metric(url, "tallymark_live_frames_total")) - framesBefore;
    clearInterval(watching);
    await pause(2_000); // the last probe comes with the next update
    tell(child, { kind: "report", appliedAt });
    const seen = await reply(child);
    if (seen.kind !== "report") throw new Error("the viewers did not report");
    const at = (share: number) => Math.round(seen.delays[Math.floor(share * (seen.delays.length - 1))] ?? Number.NaN);
    const everyMs = every.endsWith("ms") ? Number.parseInt(every, 10) : Number.parseInt(every, 10) * 1_000;
    return {
      every,
      appliedToReceivedMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
      samples: seen.delays.length,
      missed: seen.missed,
      framesPerSecond: Math.round(frames / took),
      readsPerTick: Math.round((reads / ((took * 1_000) / everyMs)) * 10) / 10,
      cpuWithViewers,
      cpuWithout,
      rssWithViewersMb: mb(readResidentMemory(pid)),
      rssWithoutMb,
      bufferedBytesMost,
    };
  } finally {
    child.kill();
    await stopTraffic();
    agent.destroy();
  }
}

async function main(): Promise<void> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { viewers: text, seconds: text, every: text, profile: text } });
  const [viewers, seconds] = [Number(values.viewers ?? 2_000), Number(values.seconds ?? 20)];
  for (const every of values.every ? [values.every] : ["1s", "100ms"]) {
    // A service of its own for each, so that probes and memory begin from nothing.
    const service = await startService({ partitions: 1, profileDir: values.profile ?? null, counters: [COUNTER] });
    try {
      const figures = await measure(service, viewers, every, seconds);
      process.stdout.write(`${viewers} viewers, 50 subscriptions: ${JSON.stringify(figures, null, 2)}\n`);
    } finally {
      await service.stop();
    }
  }
}

await main();
