import type { Options } from "k6/options";
import type { Recipe } from "../../src/cli/verify/generated.ts";
import { options as live } from "./live.ts";
import { lookUp } from "./lookup.ts";
import { wrong } from "./send.ts";
import { DURATION, integer, P95 } from "./settings.ts";

export { handleSummary, send, setup, teardown, view } from "./live.ts";

/** Events, viewers and lookups at the same time. */

export const options: Options = {
  ...live,
  scenarios: {
    ...live.scenarios,
    lookups: { executor: "constant-vus", vus: integer("VUS", 4), duration: `${DURATION}s`, exec: "ask" },
  },
  thresholds: { ...live.thresholds, "http_req_duration{name:lookup}": [`p(95)<${P95}`] },
};

/** Of this virtual user, which asks one thing after another. */
let seen = 0;

/** While events come, a total never falls, and nobody has more than all together a moment later. */
export function ask(recipe: Recipe): void {
  const largest = lookUp<{ top: { count: number }[] }>(recipe, "top?limit=5")?.top[0]?.count ?? 0;
  const count = lookUp<{ count: number }>(recipe, "value")?.count ?? 0;
  if (count < seen || largest > count) {
    wrong.add(1);
    console.error(`total ${count} after ${seen}, the largest key has ${largest}`);
  }
  seen = count;
}
