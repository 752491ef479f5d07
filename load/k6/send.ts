import { sleep } from "k6";
import exec from "k6/execution";
import http, { type RefinedResponse } from "k6/http";
import { Counter, Gauge } from "k6/metrics";
import { generateBatch, type Recipe } from "../../src/cli/verify/generated.ts";
import { BATCH, COUNTER, HEADERS, SEED, SERVICE } from "./settings.ts";

/** Sending generated events so that in the end it is known which of them the service has accepted. */

/** No iteration is cut off: one whose answer nobody saw could not be recounted. */
export const GRACEFUL_STOP = "120s";
/** Highest number of a virtual user; the summary counts each on its own, and needs to know them beforehand. */
const VUS_MAX = 300;
const TRIES = 60;
/** Nobody's number: what is sent while nothing else is. */
export const NOBODY = 0;

const begun = new Counter("batches_begun");
const answered = new Counter("batches_answered");
const resent = new Counter("batches_resent");
const startedAt = new Gauge("run_started_at");
/** Answers that are not what they must be. */
export const wrong = new Counter("wrong_answers");

/** Of every script that sends. */
export const THRESHOLDS = {
  wrong_answers: ["count==0"],
  // Always met: k6 shows a metric by its tags only where there is a threshold.
  ...Object.fromEntries(Array.from({ length: VUS_MAX }, (_, vu) => [`batches_answered{sender:${vu}}`, ["count>=0"]])),
};

/** For `setup`: what the run's events depend on. */
export function begin(copies = 0): Recipe {
  const { status } = http.get(`${SERVICE}/v1/counters/${COUNTER}`, { headers: HEADERS });
  if (status !== 200)
    exec.test.abort(`${SERVICE} has no counter "${COUNTER}"; start it with load/k6/tallymark.config.json`);
  const now = Date.now();
  startedAt.add(now);
  wrong.add(0);
  return { seed: SEED, startedAt: now, batch: BATCH, copies };
}

/** One iteration of a scenario that sends. */
export function sendOwn(recipe: Recipe): void {
  sendBatch(recipe, exec.vu.idInTest, exec.vu.iterationInScenario);
}

/** Whatever leaves the outcome unknown is answered by sending the same again: the same ids count once. */
export function sendBatch(recipe: Recipe, vu: number, iteration: number, query = ""): void {
  begun.add(1);
  const body = JSON.stringify(generateBatch(recipe, vu, iteration));
  const headers = { ...HEADERS, "content-type": "application/json" };
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const answer = http.post(`${SERVICE}/v1/events${query}`, body, { headers, tags: { name: "events" } });
    if (answer.status === 200 || (answer.status === 202 && query === "")) {
      if (answer.json("accepted") !== recipe.batch) wrong.add(1);
      answered.add(1, { sender: String(vu) });
      return;
    }
    if (![0, 202, 429, 503].includes(answer.status)) {
      reportWrong(answer);
      return;
    }
    resent.add(1);
    sleep(Number(answer.headers["Retry-After"] ?? 1));
  }
}

function reportWrong({ status, body }: RefinedResponse<"text">): void {
  wrong.add(1);
  console.error(`answered ${status}: ${body}`);
}

/** For `teardown`: streams are read in order, so once these are applied, all that was accepted before them is. */
export function settle(recipe: Recipe): void {
  sendBatch(recipe, NOBODY, 0, "?wait=applied");
}
