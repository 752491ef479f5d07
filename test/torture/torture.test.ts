import { expect, test } from "vitest";
import { FAULT_NAMES } from "./faults.ts";
import { CONTROL, MUTANTS } from "./mutants.ts";
import { shortPlan } from "./plan.ts";
import { describe as report } from "./report.ts";
import { differencesOf, torture } from "./run.ts";

/** Real processes under faults, checked against what the generator knows; longer runs: `npm run torture`. */

const TIMEOUT_MS = 240_000;
const quiet = () => {};

test("every count is exact after kills, freezes, outages and a full memory", { timeout: TIMEOUT_MS }, async () => {
  const result = await torture(shortPlan(1), quiet);
  expect(differencesOf(result), report(result)).toEqual([]);
  expect(result.aftermath.conductor.happened.size).toBeGreaterThan(FAULT_NAMES.length / 3);
});

test("the settings of the fence's mutant count right with the fence", { timeout: TIMEOUT_MS }, async () => {
  const result = await torture(CONTROL, quiet);
  expect(differencesOf(result), report(result)).toEqual([]);
});

test.each(MUTANTS)("a run without $removes ends with differences", { timeout: TIMEOUT_MS }, async ({ plan }) => {
  const result = await torture(plan, quiet);
  expect(differencesOf(result), report(result)).not.toEqual([]);
});
