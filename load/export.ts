import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Connections } from "../src/redis/client.ts";
import { readMetric } from "../test/support/metrics.ts";
import { findPostgres, startTestPostgres } from "../test/support/postgres.ts";
import { type Holds, readHolds, SLOWER_THAN_MICROS, watchHolds } from "./holds.ts";
import { readRunDelay } from "./measure.ts";
import type { PingFigures } from "./pinger.ts";
import { fixed, type Row, whole } from "./report.ts";
import { type Service, startService } from "./service.ts";

const PINGER = fileURLToPath(new URL("pinger.ts", import.meta.url));
const HOUR_MS = 3_600_000;
const IDLE_MS = 5_000;
const WARM_UP_MS = 1_000;
const LOOK_EVERY_MS = 250;
const EXPORTED_MAX_MS = 300_000;
const REQUEST_EVENTS = 2_000;
const LONGEST_SHOWN = 3;

/** As the reference workload's counter; what it keeps is over once an event of a few hours later has come. */
const COUNTER = {
  name: "views",
  event: "page.view",
  by: ["subject"],
  unique: "data.visitor",
  windows: ["1m", "1h"],
  keep: { "1m": "2h", "1h": "2h" },
  lateness: "1m",
  top: true,
} as const;

export interface ExportFigures {
  readonly keys: number;
  readonly coldStorage: "Postgres" | "PGlite";
  /** Of the minute and of its hour. */
  readonly rows: number;
  /** From the event that closed them until they had left Redis. */
  readonly seconds: number;
  readonly ping: { readonly idle: PingFigures; readonly during: PingFigures };
  /** Meanwhile, without the script that counts. */
  readonly holds: Holds;
  /** How long Redis waited for a core meanwhile, ms: a command's time contains such a wait. */
  readonly redisWaitedMs: number;
}

/** PING beside the export and the forgetting of a closed minute of so many keys, and of its hour. */
export async function measureExport(keys: number): Promise<ExportFigures> {
  const bin = await findPostgres();
  const postgres = bin ? await startTestPostgres(bin) : null;
  try {
    const env = postgres ? { DATABASE_URL: postgres.url } : {};
    const service = await startService({ partitions: 1, profileDir: null, counters: [COUNTER], env });
    try {
      return { keys, coldStorage: postgres ? "Postgres" : "PGlite", ...(await measure(service, keys)) };
    } finally {
      await service.stop();
    }
  } finally {
    await postgres?.stop();
  }
}

async function measure(service: Service, keys: number): Promise<Omit<ExportFigures, "keys" | "coldStorage">> {
  // Long ago, so that the counter's clock stands still until the last event moves it.
  const minute = Math.floor(Date.now() / HOUR_MS - 24) * HOUR_MS;
  for (let from = 0; from < keys; from += REQUEST_EVENTS) {
    const length = Math.min(REQUEST_EVENTS, keys - from);
    await send(
      service.url,
      Array.from({ length }, (_, i) => viewOf(from + i, minute)),
    );
  }
  const connections = new Connections({ kind: "single", options: { path: service.redisSocket } }, () => {});
  const pinger = fork(PINGER, [service.redisSocket], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  try {
    const client = await connections.open("prompt");
    await pause(WARM_UP_MS);
    await pingsOf(pinger);
    await pause(IDLE_MS);
    const idle = await pingsOf(pinger);
    await watchHolds(client);
    const waited = readRunDelay(service.redisPid);
    const startedAt = performance.now();
    await send(service.url, [viewOf(keys, minute + 6 * HOUR_MS)]);
    const rows = await untilForgotten(service.url, COUNTER.windows.length);
    const seconds = (performance.now() - startedAt) / 1_000;
    const during = await pingsOf(pinger);
    const redisWaitedMs = readRunDelay(service.redisPid) - waited;
    return { rows, seconds, ping: { idle, during }, holds: await readHolds(client, "apply"), redisWaitedMs };
  } finally {
    pinger.kill();
    connections.closeAll();
  }
}

const viewOf = (key: number, time: number) => ({
  id: `view ${key}`,
  type: COUNTER.event,
  subject: `/page/${key}`,
  time,
  data: { visitor: `v${key % 1_000}` },
});

/** Counted when this is over: nothing of it may go on beside what is measured. */
async function send(url: string, events: readonly object[]): Promise<void> {
  const headers = { "content-type": "application/json" };
  const request = { method: "POST", headers, body: JSON.stringify(events) };
  const { status } = await fetch(`${url}/v1/events?wait=applied`, request);
  if (status !== 200) throw new Error(`events were answered with ${status}`);
}

/** Answers how many rows were exported. */
async function untilForgotten(url: string, buckets: number): Promise<number> {
  const giveUpAt = performance.now() + EXPORTED_MAX_MS;
  for (;;) {
    if ((await readMetric(url, "tallymark_buckets_forgotten_total")) >= buckets) {
      return readMetric(url, "tallymark_export_rows_total");
    }
    if (performance.now() > giveUpAt) throw new Error("the buckets did not leave Redis in time");
    await pause(LOOK_EVERY_MS);
  }
}

async function pingsOf(pinger: ChildProcess): Promise<PingFigures> {
  const answer = once(pinger, "message", { signal: AbortSignal.timeout(10_000) });
  pinger.send("take");
  return (await answer)[0] as PingFigures;
}

export function exportRows({ keys, coldStorage, rows, seconds, ping, holds, redisWaitedMs }: ExportFigures): Row[] {
  const { idle, during } = ping;
  const remarkOf = (pings: PingFigures) => `max ${fixed(pings.max)}; ${whole(pings.pings)} PINGs`;
  const pair = ({ p50, p99 }: PingFigures) => `${fixed(p50)}, ${fixed(p99)}`;
  const longest = Object.entries(holds.commands);
  return [
    [
      "rows/s",
      whole(rows / seconds),
      `${whole(rows)} rows of ${whole(keys)} keys, exported to ${coldStorage} and forgotten`,
    ],
    ["PING idle, p50, p99", pair(idle), remarkOf(idle)],
    ["PING meanwhile, p50, p99", pair(during), remarkOf(during)],
    ...longest.slice(0, LONGEST_SHOWN).map(([name, { max, p50, calls }]): Row => {
      const remark = `${name}, p50 ${fixed(p50)} of ${whole(calls)} above ${SLOWER_THAN_MICROS / 1_000}; goal: at most 5`;
      return ["longest command", fixed(max), remark];
    }),
    ...Object.entries(holds.events).map(([name, ms]): Row => [`longest ${name}`, whole(ms), "beside commands"]),
    ["waited for a core", whole(redisWaitedMs), `in ${fixed(seconds, 1)} s: noise, which is in all of the above`],
  ];
}
