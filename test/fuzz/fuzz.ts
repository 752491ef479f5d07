import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { type Random, seededRandom } from "../../load/random.ts";
import { generateBatch, type Recipe } from "../../src/cli/verify/generated.ts";
import { PROBLEMS } from "../../src/core/problem.ts";
import { call } from "../support/app.ts";
import { startService } from "../support/service.ts";
import { INSPECTED, type Level, takeLevel } from "./heap.ts";
import { makeRequest, type Target, targetsOf, type WireRequest } from "./requests.ts";
import { fuzzSocket } from "./sockets.ts";
import { pick } from "./values.ts";
import { exchange, type WireAnswer } from "./wire.ts";

/** Random and spoilt input on every route while good events come, and what must hold all the same. */

const LANES = 6;
const TOP_MAX = 1_000;
const FAULTS_MAX = 50;
/** How long what was left behind may take to be given back: the service waits 30 s for a request. */
const REST_MAX_MS = 60_000;
const HEAP_GROWTH_MAX = 24 * 1024 * 1024;
/**
 * The embedded database is opened with the first export: a listening socket, two connections of which both ends are here,
 * and its thread's event loop.
 */
const HANDLES_GROWTH_MAX = 10;

export interface FuzzOptions {
  readonly seed: number;
  readonly ms: number;
}

export interface FuzzReport {
  readonly requests: number;
  readonly sockets: number;
  readonly events: number;
  /** Answers by status; `none`: the request was cut off, or was no HTTP. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly before: Level;
  readonly after: Level;
  readonly faults: readonly string[];
}

interface Run {
  readonly url: string;
  readonly key: string;
  readonly targets: readonly Target[];
  readonly statuses: Record<string, number>;
  readonly faults: string[];
  readonly endsAt: number;
  sockets: number;
}

export async function runFuzz({ seed, ms }: FuzzOptions): Promise<FuzzReport> {
  const { counters } = JSON.parse(
    await readFile(new URL("../../load/k6/tallymark.config.json", import.meta.url), "utf8"),
  );
  const service = await startService({ config: { counters }, env: INSPECTED });
  try {
    const { url } = service;
    const { body: document } = await call(url, "GET", "/openapi.json");
    // With a key that can do everything, so that what is fuzzed is more than the lock.
    const { body: made } = await call(url, "POST", "/v1/keys", { name: "fuzz", scopes: ["ingest", "read", "admin"] });
    const start = (endsAt: number): Run => {
      const targets = targetsOf(document.paths);
      return { url, key: made.key, targets, statuses: {}, faults: [], endsAt, sockets: 0 };
    };
    // What is made once, at the first of its kind, is no leak.
    await lane(start(Date.now() + Math.min(5_000, ms / 4)), seededRandom(seed + 1_000));
    await cleanUp(url, made.key);
    const before = await takeLevel(service);
    const run = start(Date.now() + ms);
    const recipe = { seed, startedAt: Date.now(), batch: 50, copies: 20 };
    const lanes = Array.from({ length: LANES }, (_, i) => lane(run, seededRandom(seed * LANES + i)));
    const [batches] = await Promise.all([sendGood(run, recipe), ...lanes]);
    run.faults.push(...(await findMiscounts(run, recipe, batches)));
    await cleanUp(url, made.key);
    const after = await rest(service, before);
    if (after.heap - before.heap > HEAP_GROWTH_MAX) run.faults.push(`the heap grew by ${after.heap - before.heap}`);
    if (after.handles - before.handles > HANDLES_GROWTH_MAX)
      run.faults.push(`${after.handles - before.handles} handles`);
    const ready = await call(url, "GET", "/readyz");
    if (ready.body.status !== "ok") run.faults.push(`not ready: ${JSON.stringify(ready.body)}`);
    const requests = Object.values(run.statuses).reduce((sum, n) => sum + n, 0);
    const { statuses, faults, sockets } = run;
    return { requests, sockets, events: batches * recipe.batch, statuses, before, after, faults };
  } finally {
    await service.stop();
  }
}

async function lane(run: Run, random: Random): Promise<void> {
  while (Date.now() < run.endsAt && run.faults.length < FAULTS_MAX) {
    if (random.below(20) === 0) {
      run.sockets++;
      run.faults.push(...(await fuzzSocket(run.url, run.key, random)));
      continue;
    }
    const request = makeRequest(random, pick(random, run.targets), run.key);
    const answer = await exchange(new URL(run.url), request, random);
    const status = answer.status ?? "none";
    run.statuses[status] = (run.statuses[status] ?? 0) + 1;
    const fault = faultOf(request, answer);
    if (fault) run.faults.push(`${fault}: ${request.title}`);
  }
}

function faultOf({ title, manner }: WireRequest, { status, headers, body, timedOut }: WireAnswer): string | null {
  if (timedOut) return "no answer";
  if (status === null) return manner === "whole" && body !== "" ? `no status in ${body.slice(0, 100)}` : null;
  if (status >= 500) return `${status} ${body.slice(0, 500)}`;
  const isOurs = status >= 400 && !title.startsWith("HEAD") && !/^\w+ \/(jobs|docs)/.test(title);
  if (!isOurs) return null;
  const code = /"code":"(\w+)"/.exec(body)?.[1] ?? "";
  return headers.includes("application/problem+json") && code in PROBLEMS ? null : `${status} is no problem: ${body}`;
}

/** Good events all the while; resolves to the number of batches, each of which was counted. */
async function sendGood(run: Run, recipe: Recipe): Promise<number> {
  const headers = { authorization: `Bearer ${run.key}` };
  let batches = 0;
  while (Date.now() < run.endsAt && run.faults.length < FAULTS_MAX) {
    const batch = generateBatch(recipe, 1, batches);
    const { status, body } = await call(run.url, "POST", "/v1/events?wait=applied", batch, headers);
    if (status !== 200 && status !== 202)
      run.faults.push(`good events were answered ${status} ${JSON.stringify(body)}`);
    batches++;
    await pause(100);
  }
  return batches;
}

async function findMiscounts({ url, key }: Run, recipe: Recipe, batches: number): Promise<string[]> {
  const seen = new Set<string>();
  const counts = new Map<string, number>();
  for (let i = 0; i < batches; i++) {
    for (const { id, subject } of generateBatch(recipe, 1, i)) {
      if (!seen.has(id)) counts.set(subject, (counts.get(subject) ?? 0) + 1);
      seen.add(id);
    }
  }
  const span = `from=${recipe.startedAt - 3_600_000}&to=${recipe.startedAt + 1}`;
  const headers = { authorization: `Bearer ${key}` };
  const { body } = await call(url, "GET", `/v1/counters/load/top?limit=${TOP_MAX}&${span}`, undefined, headers);
  const value = await call(url, "GET", `/v1/counters/load/value?${span}`, undefined, headers);
  const faults = value.body.count === seen.size ? [] : [`count is ${value.body.count}, should be ${seen.size}`];
  for (const { key: [subject] = [], count } of body.top as { key?: string[]; count: number }[]) {
    if (counts.get(subject ?? "") !== count)
      faults.push(`${subject} is ${count}, should be ${counts.get(subject ?? "")}`);
    counts.delete(subject ?? "");
  }
  // A full ranking says nothing of the keys that it has no room for.
  if (body.top.length === TOP_MAX) return faults;
  return [...faults, ...[...counts.keys()].map((subject) => `${subject} is missing`)];
}

/** Deletes what the fuzzing made, which is kept rightly. */
async function cleanUp(url: string, key: string): Promise<void> {
  const headers = { authorization: `Bearer ${key}` };
  const { body } = await call(url, "GET", "/v1/counters", undefined, headers);
  for (const { name } of body.counters as { name: string }[]) {
    if (name !== "load") await call(url, "DELETE", `/v1/counters/${encodeURIComponent(name)}`, undefined, headers);
  }
  for (;;) {
    const { body: page } = await call(url, "GET", "/v1/alerts?limit=1000", undefined, headers);
    if (page.alerts.length === 0) return;
    for (const { id } of page.alerts) await call(url, "DELETE", `/v1/alerts/${id}`, undefined, headers);
  }
}

/** Waits until the level is that of before, or will not be. */
async function rest(service: Parameters<typeof takeLevel>[0], before: Level): Promise<Level> {
  const giveUpAt = Date.now() + REST_MAX_MS;
  for (;;) {
    const level = await takeLevel(service);
    const isBack = level.heap - before.heap <= HEAP_GROWTH_MAX && level.handles - before.handles <= HANDLES_GROWTH_MAX;
    if (isBack || Date.now() > giveUpAt) return level;
    await pause(1_000);
  }
}
