import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { ulid } from "ulid";
import { startService } from "../test/support/service.ts";

/**
 * The benchmark of alerts: rules evaluated each second, and how long a crossing takes to reach its receiver meanwhile.
 * See load/README.md.
 */

const { values } = parseArgs({
  options: {
    rules: { type: "string", default: "10000" },
    crossings: { type: "string", default: "200" },
    seconds: { type: "string", default: "20" },
    rate: { type: "string", default: "5000" },
    history: { type: "string", default: "60" },
  },
});
const [RULES, CROSSINGS, SECONDS, RATE, HISTORY] = [
  values.rules,
  values.crossings,
  values.seconds,
  values.rate,
  values.history,
].map(Number) as [number, number, number, number, number];
/** Late enough that nothing of the history is closed: its export would be measured along. */
const COUNTER = { name: "views", event: "view", by: ["subject"], windows: ["10s", "1m", "1h"], lateness: "2h" };
const BATCH = 100;
/** Requests on their way at the same time. */
const SENDERS = 4;
const HISTORY_BATCH = 1_000;

const arrived = new Map<string, number>();
const receiver = createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  const { type, data } = JSON.parse(text);
  if (type === "alert.firing" && !arrived.has(data.name)) arrived.set(data.name, performance.now());
  response.writeHead(204).end();
}).listen(0, "127.0.0.1");
await once(receiver, "listening");

const service = await startService({
  config: { counters: [COUNTER] },
  env: { TALLYMARK_WEBHOOK_ALLOW_PRIVATE: "1" },
});
const redis = new Redis({ path: join(service.dataDir, "redis", "redis.sock") });

async function post(path: string, body: unknown): Promise<void> {
  const response = await fetch(service.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
}

/** A rule of its own key; those that are to cross have a webhook and a low threshold. */
function ruleOf(n: number) {
  const isCrossing = n < CROSSINGS;
  return {
    name: `r${n}`,
    counter: COUNTER.name,
    key: [`/${isCrossing ? "cross" : "page"}/${n}`],
    last: ["1m", "5m", "1h"][n % 3],
    op: ">",
    threshold: isCrossing ? 0 : 1_000_000_000,
    ...(isCrossing && { webhook: { url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/` } }),
  };
}

for (let from = 0; from < RULES; from += 20) {
  await Promise.all(Array.from({ length: Math.min(20, RULES - from) }, (_, i) => post("/v1/alerts", ruleOf(from + i))));
}
process.stderr.write(`${RULES} rules made\n`);

const view = (subject: string, time = Date.now()) => ({ id: ulid(), type: "view", subject, time: new Date(time) });

// As after an hour of service: an event of each key in each minute, so that the cells of a long span are there.
for (let minute = HISTORY; minute > 0; minute--) {
  const time = Date.now() - minute * 60_000;
  for (let from = CROSSINGS; from < RULES; from += HISTORY_BATCH) {
    const length = Math.min(HISTORY_BATCH, RULES - from);
    await post(
      "/v1/events",
      Array.from({ length }, (_, i) => view(`/page/${from + i}`, time)),
    );
  }
}
await post("/v1/events?wait=applied", [view("/last")]);
process.stderr.write(`${HISTORY} minutes of history counted\n`);

let isLoading = true;
/** Of the requests that sent events since it was last cleared, ms. */
const ingestMs: number[] = [];
async function send(): Promise<void> {
  let due = performance.now() + Math.random() * 100;
  while (isLoading && RATE > 0) {
    const events = Array.from({ length: BATCH }, () =>
      view(`/page/${CROSSINGS + Math.floor(Math.random() * (RULES - CROSSINGS))}`),
    );
    const began = performance.now();
    await post("/v1/events", events);
    ingestMs.push(performance.now() - began);
    due += ((SENDERS * BATCH) / RATE) * 1_000;
    await pause(Math.max(0, due - performance.now()));
  }
}
const load = Promise.all(Array.from({ length: SENDERS }, send));

function quantilesOf(numbers: readonly number[]) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const quantile = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
  return { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max: quantile(1) };
}

/** Sums and counts of the evaluation's histogram, and CPU of both processes. */
async function sample() {
  const text = await (await fetch(`${service.url}/metrics`)).text();
  const metric = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  const info = await redis.info("all");
  const field = (name: string) => Number(new RegExp(`^${name}:(\\S+)`, "m").exec(info)?.[1] ?? 0);
  const calls = (command: string) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
  return {
    at: performance.now(),
    ticks: metric("tallymark_alert_evaluation_seconds_count"),
    seconds: metric("tallymark_alert_evaluation_seconds_sum"),
    cpu: metric("tallymark_process_cpu_seconds_total"),
    redisCpu: field("used_cpu_user_main_thread") + field("used_cpu_sys_main_thread"),
    evalsha: calls("evalsha"),
    commands: field("total_commands_processed"),
  };
}

async function measure(seconds: number) {
  const before = await sample();
  ingestMs.length = 0;
  await pause(seconds * 1_000);
  const ingest = [...ingestMs];
  const after = await sample();
  const ticks = after.ticks - before.ticks;
  const elapsed = (after.at - before.at) / 1_000;
  const per = (name: keyof typeof before, by: number) => (after[name] - before[name]) / by;
  return {
    ticksPerSecond: ticks / elapsed,
    tickMs: 1_000 * per("seconds", ticks),
    serviceCpuPerSecond: per("cpu", elapsed),
    redisCpuPerSecond: per("redisCpu", elapsed),
    scriptsPerTick: per("evalsha", ticks),
    commandsPerTick: per("commands", ticks),
    eventsPerSecond: (ingest.length * BATCH) / elapsed,
    ...(ingest.length > 0 && { ingestMs: quantilesOf(ingest) }),
  };
}

await pause(3_000);
const underLoad = await measure(SECONDS);
process.stderr.write("measured under load\n");

const sentAt = new Map<string, number>();
for (let n = 0; n < CROSSINGS; n++) {
  sentAt.set(`r${n}`, performance.now());
  await post("/v1/events", [view(`/cross/${n}`)]);
  await pause(Math.random() * 100);
}
for (let waited = 0; arrived.size < CROSSINGS && waited < 30_000; waited += 50) await pause(50);
isLoading = false;
await load;
const delays = [...arrived].map(([name, at]) => at - (sentAt.get(name) as number));
await pause(3_000);
const idle = await measure(SECONDS);

const result = {
  rules: RULES,
  underLoad,
  withoutEvents: idle,
  crossings: CROSSINGS,
  delivered: delays.length,
  crossingToDeliveryMs: quantilesOf(delays),
};
process.stdout.write(
  `${JSON.stringify(result, (_, value) => (typeof value === "number" ? Number(value.toFixed(2)) : value))}\n`,
);
redis.disconnect();
await service.stop();
receiver.close();
receiver.closeAllConnections();
process.exit(delays.length === CROSSINGS ? 0 : 1);
