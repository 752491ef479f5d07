import { BucketsMoved } from "../buckets/parts.ts";
import { type CounterState, goneTo } from "../buckets/state.ts";
import type { Counter } from "../core/counter.ts";
import { Problem } from "../core/problem.ts";
import type { Range } from "../core/window.ts";
import { coldSpans, type Everywhere, type View } from "./everywhere.ts";

/** Answers from one look at a counter; also gives the ranges that were read for it. */
export type Lookup<Answer> = (state: CounterState, view: View) => Promise<readonly [Answer, readonly Range[]]>;

/** How often a lookup begins again because buckets left Redis under it; each mark moves about once a second. */
const ATTEMPTS = 10;

/**
 * Event time is read before cells: what is final by it was final when the cells were read. A lookup that met buckets
 * on their way from Redis to cold storage, or out of it, is made again.
 */
export async function lookAt<Answer>(
  everywhere: Everywhere,
  counter: Counter,
  signal: AbortSignal | undefined,
  lookup: Lookup<Answer>,
): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const state = await everywhere.look(counter);
    try {
      const [answer, ranges] = await lookup(state, { counter, holdings: state.holdings, signal });
      if (coldSpans(counter, state.holdings, ranges).length === 0) return answer;
      const after = await everywhere.look(counter);
      if (goneTo(counter, after).every((gone, w) => gone === goneTo(counter, state)[w])) return answer;
    } catch (error) {
      if (!(error instanceof BucketsMoved)) throw error;
    }
    if (attempt === ATTEMPTS) throw new Problem("unavailable", "buckets are being moved to cold storage; try again");
  }
}
