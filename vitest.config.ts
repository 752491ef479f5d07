import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take minutes. Begun last, one of them would run alone in the end. */
const LONG = /(torture|real-logs|real-log|cold-logs|killed|seam|synthetic|archive|topology|slow)\.test\.ts$/;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => Number(LONG.test(moduleId));
    return (await super.sort(files)).sort((a, b) => isLong(b) - isLong(a));
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Every file starts its own Redis; two at a time keep a two-core machine responsive.
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // A busy machine takes its time; what is awaited is a state, never a moment.
    expect: { poll: { timeout: 30_000 } },
  },
});
