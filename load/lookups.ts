import { setTimeout as pause } from "node:timers/promises";
import type { Expected, Workload } from "./workload.ts";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const LOOK_EVERY_MS = 5;
/** The backlog of a run that cannot be counted in this time is a fault, not a slow machine. */
const VISIBLE_MAX_MS = 120_000;
const ACCOUNTED_MAX_MS = 5_000;

/** Waits until the counter's total has come to so many; answers when, epoch milliseconds. */
export async function untilVisible(
  url: string,
  workload: Workload,
  { counter, count }: Pick<Expected, "counter" | "count">,
): Promise<number> {
  const giveUpAt = performance.now() + VISIBLE_MAX_MS;
  for (;;) {
    const total = await readTotal(url, workload, counter);
    if (total >= count) return performance.timeOrigin + performance.now();
    if (performance.now() > giveUpAt) throw new Error(`only ${total} of ${count} events became visible`);
    await pause(LOOK_EVERY_MS);
  }
}

/** By whole days, so that a look costs one cell and does not disturb what is measured. */
async function readTotal(url: string, workload: Workload, counter: string): Promise<number> {
  const answer = await getJson(`${url}/v1/counters/${counter}/value?${spanOf(workload, DAY_MS)}`);
  return (answer as { count: number }).count;
}

/** Waits for the total, and compares it: the difference in words. */
export async function findTotalFaults(url: string, workload: Workload, expected: Pick<Expected, "counter" | "count">) {
  await untilVisible(url, workload, expected);
  const total = await readTotal(url, workload, expected.counter);
  return total === expected.count ? [] : [`total of ${expected.counter}: ${total} instead of ${expected.count}`];
}

/** Compares what the service answers with the workload's own recounts: every difference in words. */
export async function findFaults(url: string, workload: Workload, expected: readonly Expected[]): Promise<string[]> {
  const faults: string[] = [];
  const compare = (what: string, found: unknown, wanted: unknown) => {
    const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
    if (is !== should) faults.push(`${what}: ${is} instead of ${should}`);
  };
  const outcomes = await readOutcomes(url, workload.events);
  const applied = workload.events - workload.copies;
  compare("outcomes", outcomes, { applied, duplicates: workload.copies, late: 0, dead: 0 });
  for (const { counter, count, top } of expected) {
    // By days, which is one bucket, and by minutes, which is several: boards and cells of both must agree.
    for (const unit of [DAY_MS, MINUTE_MS]) {
      const span = spanOf(workload, unit);
      const path = `${url}/v1/counters/${counter}`;
      const value = (await getJson(`${path}/value?${span}`)) as { count: number };
      compare(`total of ${counter} in units of ${unit} ms`, value.count, count);
      const ranking = (await getJson(`${path}/top?limit=${top.length}&${span}`)) as Pick<Expected, "top">;
      const found = ranking.top.map(({ key, count }) => ({ key, count }));
      compare(`top of ${counter} in units of ${unit} ms`, found, top);
    }
  }
  return faults;
}

function spanOf(workload: Workload, unit: number): string {
  const from = Math.floor(workload.time(0) / unit) * unit;
  const to = (Math.floor(workload.time(workload.events - 1) / unit) + 1) * unit;
  // A last event that repeats an earlier one has its time, so the end is taken from now as well.
  return `from=${from}&to=${Math.max(to, (Math.floor(Date.now() / unit) + 1) * unit)}`;
}

/** The metric lags behind the counts: the last batch may be all copies, and is accounted after its reply. */
async function readOutcomes(url: string, events: number): Promise<Record<string, number>> {
  const giveUpAt = performance.now() + ACCOUNTED_MAX_MS;
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const value = (outcome: string) =>
      Number(new RegExp(`^tallymark_events_total\\{outcome="${outcome}"\\} (\\d+)`, "m").exec(text)?.[1] ?? 0);
    const outcomes = Object.fromEntries(["applied", "duplicates", "late", "dead"].map((name) => [name, value(name)]));
    const sum = Object.values(outcomes).reduce((a, b) => a + b, 0);
    if (sum >= events || performance.now() > giveUpAt) return outcomes;
    await pause(LOOK_EVERY_MS);
  }
}

async function getJson(url: string): Promise<unknown> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
