import type { Options, Scenario } from "k6/options";
import type { Recipe } from "../../src/cli/verify/generated.ts";
import { begin, GRACEFUL_STOP, sendOwn, settle, THRESHOLDS } from "./send.ts";
import { DURATION, P95, RATE } from "./settings.ts";
import { summarize } from "./summary.ts";

/** Events alone: `-e PROFILE=steady|burst|soak|duplicates`. */

const PROFILE = __ENV.PROFILE ?? "steady";
const COPIES = PROFILE === "duplicates" ? 30 : 0;
const SENDERS = { preAllocatedVUs: 10, maxVUs: 100, gracefulStop: GRACEFUL_STOP, exec: "send" };

const scenarios: Record<string, Scenario> = {
  steady: { ...SENDERS, executor: "constant-arrival-rate", rate: RATE, timeUnit: "1s", duration: `${DURATION}s` },
  /** Ten times the rate for a fifth of the time, in the middle. */
  burst: {
    ...SENDERS,
    executor: "ramping-arrival-rate",
    startRate: RATE,
    timeUnit: "1s",
    stages: [
      { target: RATE, duration: `${DURATION * 0.4}s` },
      { target: RATE * 10, duration: "0s" },
      { target: RATE * 10, duration: `${DURATION * 0.2}s` },
      { target: RATE, duration: "0s" },
      { target: RATE, duration: `${DURATION * 0.4}s` },
    ],
  },
  soak: { ...SENDERS, executor: "constant-arrival-rate", rate: RATE, timeUnit: "1s", duration: `${DURATION * 60}s` },
  /** As fast as eight can, three of ten events sent before, by themselves or by another at the same time. */
  duplicates: { executor: "constant-vus", vus: 8, duration: `${DURATION}s`, gracefulStop: GRACEFUL_STOP, exec: "send" },
};

const scenario = scenarios[PROFILE];
if (!scenario) throw new Error(`PROFILE: must be one of ${Object.keys(scenarios).join(", ")}`);

export const options: Options = {
  scenarios: { [PROFILE]: scenario },
  setupTimeout: "60s",
  teardownTimeout: "120s",
  thresholds: { ...THRESHOLDS, "http_req_duration{name:events}": [`p(95)<${P95}`] },
};

export const setup = () => begin(COPIES);
export const send = sendOwn;
export const teardown = (recipe: Recipe) => settle(recipe);
export const handleSummary = (data: Parameters<typeof summarize>[0]) => summarize(data, COPIES);
