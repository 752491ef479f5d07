import { meanOf, measureBaseline } from "./baselines.ts";
import { type Figures, figuresOf } from "./report.ts";
import { type RunOptions, runWorkload } from "./run.ts";
import { makeWorkload, W1 } from "./workload.ts";

/** Events that the baselines may take from the workload. */
const SAMPLE_EVENTS = 100_000;

/** The reference workload, with what Redis itself can do right before and right after. */
export async function measureW1(options: RunOptions): Promise<Figures> {
  const { seed } = options;
  const sample = makeWorkload({ seed, events: Math.min(options.events, SAMPLE_EVENTS), endsAt: Date.now() });
  const before = await measureBaseline(sample);
  const run = await runWorkload(options, W1);
  return figuresOf(options, run, meanOf(before, await measureBaseline(sample)));
}
