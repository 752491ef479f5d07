import type { Window } from "../../core/window.ts";
import { askAll, type Comparison, spanQuery } from "./checks.ts";
import type { Expected, Owner } from "./expected.ts";

/**
 * Where a bucket of the widest window has more keys than `keysMax`, which of them were refused depends on the order of
 * arrival, so the service is asked: a key without a count there was refused, and everything else must fit to that.
 */
export async function settleRefusals(expected: Expected, { service, report, subset }: Comparison): Promise<void> {
  const { counter } = expected;
  const widest = counter.windows.at(-1) as Window;
  for (const [start, row] of expected.cells(widest)) {
    if (row.size <= counter.keysMax) continue;
    const end = start + widest.ms;
    const questions = [...row.keys()].map((owner) => ({ owner, query: spanQuery(counter, { owner }, start, end) }));
    const refused = new Set<Owner>();
    await askAll(questions, service, ({ owner }, { count }) => void (count === 0 && refused.add(owner)));
    const admitted = row.size - refused.size;
    report.same(subset ? admitted <= counter.keysMax : admitted === counter.keysMax, () => {
      const bucket = `bucket ${new Date(start).toISOString()} of ${widest.label}`;
      return `${counter.name}, ${bucket}: ${admitted} keys are counted under their names, should be ${counter.keysMax}`;
    });
    expected.refuse(refused, start, end);
  }
}
