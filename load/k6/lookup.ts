import http from "k6/http";
import type { Recipe } from "../../src/cli/verify/generated.ts";
import { wrong } from "./send.ts";
import { COUNTER, HEADERS, SERVICE } from "./settings.ts";

/** One lookup over the span of a run's event times. Counts whatever is not answered 200 as wrong. */
export function lookUp<Answer>({ startedAt }: Recipe, path: string): Answer | null {
  const separator = path.includes("?") ? "&" : "?";
  const url = `${SERVICE}/v1/counters/${COUNTER}/${path}${separator}from=${startedAt - 3_600_000}&to=${startedAt + 1}`;
  const answer = http.get(url, { headers: HEADERS, tags: { name: "lookup" } });
  if (answer.status === 200) return answer.json() as Answer;
  wrong.add(1);
  console.error(`${url} answered ${answer.status}: ${answer.body}`);
  return null;
}
