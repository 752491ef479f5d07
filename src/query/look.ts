import { BucketsMoved } from "../buckets/parts.ts";
import { areAlike, type CounterState, goneTo } from "../buckets/state.ts";
import type { Counter } from "../core/counter.ts";
import { Problem } from "../core/problem.ts";
import type { Range } from "../core/window.ts";
import { coldSpans, type Everywhere, type View } from "./everywhere.ts";

/**
 * Answers from one look at a counter; also gives the ranges that were read for it. `latest` is what event time was as the
 * cells were read: it comes with them where `state`, which the lookup is planned on, is an earlier one.
 */
export type Lookup<Answer> = (
  state: CounterState,
  view: View,
  latest: Promise<CounterState>,
) => Promise<readonly [Answer, readonly Range[]]>;

/** How often a lookup begins again because buckets left Redis under it; each mark moves about once a second. */
const ATTEMPTS = 10;

/**
 * Event time is read before cells: what is final by it was final when the cells were read. A lookup that met buckets
 * on their way from Redis to cold storage, or out of it, is made again.
 *
 * Where the counter was looked at a moment ago, the lookup is planned on that: a new look and the cells behind it are asked
 * for in one go, and answered in one round trip. It is made again when the new look would have given another plan.
 */
export async function lookAt<Answer>(
  everywhere: Everywhere,
  counter: Counter,
  signal: AbortSignal | undefined,
  lookup: Lookup<Answer>,
): Promise<Answer> {
  const remembered = everywhere.remembered(counter);
  if (remembered) {
    const latest = everywhere.look(counter);
    const found = await lookOnce(everywhere, { counter, signal }, remembered, latest, lookup).catch(() => null);
    if (found && areAlike(counter, remembered, await latest)) return found.answer;
  }
  for (let attempt = 1; ; attempt++) {
    const latest = everywhere.look(counter);
    const found = await lookOnce(everywhere, { counter, signal }, await latest, latest, lookup);
    if (found) return found.answer;
    if (attempt === ATTEMPTS) throw new Problem("unavailable", "buckets are being moved to cold storage; try again");
  }
}

/** `null`: buckets have moved, look again. */
async function lookOnce<Answer>(
  everywhere: Everywhere,
  view: Omit<View, "holdings">,
  state: CounterState,
  latest: Promise<CounterState>,
  lookup: Lookup<Answer>,
): Promise<{ readonly answer: Answer } | null> {
  const { counter } = view;
  try {
    const [answer, ranges] = await lookup(state, { ...view, holdings: state.holdings }, latest);
    if (coldSpans(counter, state.holdings, ranges).length === 0) return { answer };
    const after = await everywhere.look(counter);
    return goneTo(counter, after).every((gone, w) => gone === goneTo(counter, state)[w]) ? { answer } : null;
  } catch (error) {
    if (error instanceof BucketsMoved) return null;
    throw error;
  }
}
