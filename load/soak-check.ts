import { setTimeout as pause } from "node:timers/promises";
import { readMetric } from "../test/support/metrics.ts";
import { SOAK_COUNTER, type SoakTotals } from "./soak-load.ts";

const HOUR_MS = 3_600_000;
const TOP = 100;
const SETTLE_MAX_MS = 60_000;
const LOOK_EVERY_MS = 100;

/** Compares what the service counted since `began` with the ledger of what was sent: every difference in words. */
export async function findSoakFaults(url: string, began: number, totals: SoakTotals): Promise<string[]> {
  const span = `from=${Math.floor(began / HOUR_MS) * HOUR_MS}&to=${(Math.floor(Date.now() / HOUR_MS) + 1) * HOUR_MS}`;
  const path = `${url}/v1/counters/${SOAK_COUNTER.name}`;
  const faults: string[] = [];
  const compare = (what: string, found: unknown, wanted: unknown) => {
    const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
    if (is !== should) faults.push(`${what}: ${is} instead of ${should}`);
  };
  const value = await settledValue(`${path}/value?${span}`, totals.distinct);
  compare("count", value.count, totals.distinct);
  compare("sum", value.sum, totals.sum);
  const { top } = (await getJson(`${path}/top?limit=${TOP}&${span}`)) as { top: { key: [string]; count: number }[] };
  const wanted = [...totals.subjects].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, TOP);
  compare(
    "top",
    top.map(({ key, count }) => [key[0], count]),
    wanted,
  );
  for (const [outcome, n] of Object.entries({ late: 0, dead: 0 })) {
    compare(outcome, await readMetric(url, `tallymark_events_total{outcome="${outcome}"}`), n);
  }
  return faults;
}

/** Waits until what was queued is applied, or does not change to the right count in time. */
async function settledValue(url: string, count: number): Promise<{ count: number; sum: number }> {
  const giveUpAt = performance.now() + SETTLE_MAX_MS;
  for (;;) {
    const value = (await getJson(url)) as { count: number; sum: number };
    if (value.count === count || performance.now() > giveUpAt) return value;
    await pause(LOOK_EVERY_MS);
  }
}

async function getJson(url: string): Promise<unknown> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return response.json();
}
