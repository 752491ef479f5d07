import { setTimeout as pause } from "node:timers/promises";
import { seriesCold } from "../src/cold/reader.ts";
import type { BenchDatabase } from "./cold-databases.ts";
import { KEYS, MINUTE, ownerOf } from "./cold-rows.ts";
import { countAt, FIRST, GENERATION } from "./cold-table.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";
import { type Random, seededRandom } from "./random.ts";
import { startService } from "./service.ts";

/** Buckets of each series. */
export const BUCKETS = 1_000;
const WARM_UP = 50;
const LEAVES_REDIS_MAX_MS = 120_000;
const LOOK_EVERY_MS = 100;
const COUNTER = {
  name: "views",
  event: "page.view",
  by: ["subject"],
  sum: "data.amount",
  windows: ["1m"],
  keep: { "1m": "1h" },
  lateness: "1m",
};

interface Wanted {
  readonly key: number;
  readonly minute: number;
}

/** Times of the statement alone, keys and times at random. */
export async function measureStatement(on: BenchDatabase, minutes: number, reads: number): Promise<Quantiles> {
  return on.withDatabase((database) =>
    measure(minutes, reads, async ({ key, minute }) => {
      const from = FIRST + minute * MINUTE;
      const span = { windowMs: MINUTE, from, to: from + BUCKETS * MINUTE, partitions: [0] };
      const rows = await seriesCold(database, GENERATION, Buffer.from(ownerOf(key)), [span]);
      return rows.reduce((sum, { count }) => sum + Number(count), 0);
    }),
  );
}

/** Times of `GET …/series` of the built service, one after another; what it answers is checked. */
export async function measureRequests(on: BenchDatabase, minutes: number, reads: number): Promise<Quantiles> {
  const env = on.url === null ? {} : { DATABASE_URL: on.url };
  const service = await startService({ partitions: 1, profileDir: null, counters: [COUNTER], env });
  try {
    const read = async ({ key, minute }: Wanted) => {
      const from = FIRST + minute * MINUTE;
      const span = `from=${from}&to=${from + BUCKETS * MINUTE}&window=1m`;
      const path = `/v1/counters/${COUNTER.name}/series?key=${encodeURIComponent(ownerOf(key).slice(1))}`;
      const answer = (await (await fetch(`${service.url}${path}&${span}`)).json()) as { count: number };
      return answer.count;
    };
    await makeAllCold(service.url, minutes, () => read({ key: 0, minute: minutes - BUCKETS }));
    return await measure(minutes, reads, read);
  } finally {
    await service.stop();
  }
}

/** Two events tell the service that its counter spans the table and more, so that all of that leaves Redis. */
async function makeAllCold(url: string, minutes: number, readLast: () => Promise<number>): Promise<void> {
  for (const minute of [0, minutes + 1_000]) {
    const event = { type: COUNTER.event, subject: "at the ends", time: FIRST + minute * MINUTE };
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(event) };
    const { status } = await fetch(`${url}/v1/events?wait=applied`, request);
    if (status !== 200) throw new Error(`an event was answered with ${status}`);
  }
  const giveUpAt = performance.now() + LEAVES_REDIS_MAX_MS;
  while ((await readLast()) !== expectedAt(minutes - BUCKETS)) {
    if (performance.now() > giveUpAt) throw new Error("the buckets did not leave Redis in time");
    await pause(LOOK_EVERY_MS);
  }
}

function expectedAt(minute: number): number {
  return Array.from({ length: BUCKETS }, (_, i) => countAt(minute + i)).reduce((sum, count) => sum + count, 0);
}

async function measure(minutes: number, reads: number, read: (wanted: Wanted) => Promise<number>): Promise<Quantiles> {
  const random = seededRandom(1);
  const times: number[] = [];
  for (let i = -WARM_UP; i < reads; i++) {
    const wanted = draw(random, minutes);
    const started = performance.now();
    const count = await read(wanted);
    if (i >= 0) times.push(performance.now() - started);
    if (count !== expectedAt(wanted.minute)) throw new Error(`${count} in place of ${expectedAt(wanted.minute)}`);
  }
  return quantilesOf(times);
}

function draw(random: Random, minutes: number): Wanted {
  return { key: random.below(KEYS), minute: random.below(minutes - BUCKETS + 1) };
}
