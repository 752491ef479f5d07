import { generateBatch } from "../../src/cli/verify/generated.ts";

/** For k6: prints some batches, so that another engine's can be compared with them. */

export const options = { scenarios: { none: { executor: "shared-iterations", iterations: 1, exec: "nothing" } } };

export function nothing(): void {}

export function handleSummary(): Record<string, string> {
  const run = { seed: 4_294_967_295, startedAt: 1_767_225_600_000, batch: 100, copies: 30 };
  const batches = [0, 1, 2, 7, 299].flatMap((vu) => [0, 1, 500, 100_000].map((n) => generateBatch(run, vu, n)));
  return { stdout: JSON.stringify({ run, batches }) };
}
