import type { Options } from "k6/options";
import { generateBatch, type Recipe } from "../../src/cli/verify/generated.ts";
import { lookUp } from "./lookup.ts";
import { begin, NOBODY, sendBatch, THRESHOLDS, wrong } from "./send.ts";
import { BATCH, DURATION, integer, P95, SEED } from "./settings.ts";
import { summarize } from "./summary.ts";

/** Lookups of known events: every answer is compared. Needs a counter that holds nothing else. */

const ITERATIONS = integer("ITERATIONS", 50);
const TOP = 10;

interface Expected {
  readonly count: number;
  readonly cents: number;
  /** Largest first, ties by subject. */
  readonly top: readonly [subject: string, count: number][];
}

interface Numbers {
  readonly count: number;
  readonly sum: number;
}

export const options: Options = {
  scenarios: {
    lookups: { executor: "constant-vus", vus: integer("VUS", 8), duration: `${DURATION}s`, exec: "lookups" },
  },
  setupTimeout: "120s",
  thresholds: { ...THRESHOLDS, "http_req_duration{name:lookup}": [`p(95)<${P95}`] },
};

export function setup(): { recipe: Recipe; expected: Expected } {
  const recipe = begin();
  if (lookUp<Numbers>(recipe, "value")?.count !== 0) throw new Error("the counter must hold nothing, here it does");
  for (let i = 0; i < ITERATIONS; i++) sendBatch(recipe, NOBODY, i, "?wait=applied");
  return { recipe, expected: recount(recipe) };
}

function recount(recipe: Recipe): Expected {
  const counts = new Map<string, number>();
  let cents = 0;
  for (let i = 0; i < ITERATIONS; i++) {
    for (const { subject, data } of generateBatch(recipe, NOBODY, i)) {
      counts.set(subject, (counts.get(subject) ?? 0) + 1);
      cents += Math.round(data.amount * 100);
    }
  }
  const top = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, TOP);
  return { count: ITERATIONS * BATCH, cents, top };
}

export function lookups({ recipe, expected }: ReturnType<typeof setup>): void {
  expect(isTotal(lookUp<Numbers>(recipe, "value"), expected), "total");
  const series = lookUp<Numbers & { buckets: Numbers[] }>(recipe, "series?window=1m");
  const inBuckets = series?.buckets.reduce((sum, { count }) => sum + count, 0);
  expect(isTotal(series, expected) && inBuckets === expected.count, "series");
  const top = lookUp<{ top: { key: [string]; count: number }[] }>(recipe, `top?limit=${TOP}`)?.top;
  expect(JSON.stringify(top?.map(({ key, count }) => [key[0], count])) === JSON.stringify(expected.top), "top");
  const [subject, count] = expected.top[(__VU + __ITER) % expected.top.length] as [string, number];
  expect(lookUp<Numbers>(recipe, `value?key=${subject}`)?.count === count, `key ${subject}`);
}

const isTotal = (answer: Numbers | null, { count, cents }: Expected) =>
  answer?.count === count && Math.round(answer.sum * 100) === cents;

function expect(holds: boolean, what: string): void {
  if (holds) return;
  wrong.add(1);
  console.error(`seed ${SEED}: ${what} differs`);
}

export const handleSummary = (data: Parameters<typeof summarize>[0]) => summarize(data);
