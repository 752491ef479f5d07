import type { Options } from "k6/options";
import type { Recipe } from "../../src/cli/verify/generated.ts";
import { begin, GRACEFUL_STOP, sendOwn, settle, THRESHOLDS } from "./send.ts";
import { DURATION, RATE, VIEWERS } from "./settings.ts";
import { summarize } from "./summary.ts";
import { watch } from "./viewer.ts";

/** Viewers over WebSockets while events come. */

export const options: Options = {
  scenarios: {
    senders: {
      executor: "constant-arrival-rate",
      rate: RATE,
      timeUnit: "1s",
      duration: `${DURATION}s`,
      preAllocatedVUs: 10,
      maxVUs: 50,
      gracefulStop: GRACEFUL_STOP,
      exec: "send",
    },
    viewers: {
      executor: "per-vu-iterations",
      vus: VIEWERS,
      iterations: 1,
      maxDuration: `${DURATION + 60}s`,
      exec: "view",
    },
  },
  setupTimeout: "60s",
  teardownTimeout: "120s",
  thresholds: { ...THRESHOLDS, live_frames: [`count>=${VIEWERS * 2}`] },
};

export const setup = () => begin();
export const send = sendOwn;
export const view = (recipe: Recipe) => watch(recipe);
export const teardown = (recipe: Recipe) => settle(recipe);
export const handleSummary = (data: Parameters<typeof summarize>[0]) => summarize(data);
