import { byCodePoints, type Comparison } from "./compare.ts";
import type { Path } from "./coverage.ts";
import { compareHead, describe, type Expectation } from "./expectation.ts";
import type { Answer, Question } from "./questions.ts";
import type { Ranked, Ties } from "./truth.ts";

/** A ranking as the truth holds it. */
export interface Ranking {
  readonly list: readonly Ranked[];
  readonly ties: Ties;
  readonly tiesPath: Path;
  /** The places of the listed keys and counts. */
  readonly listPaths: readonly Path[];
}

/** The places of pairs `[key, count]`. */
export function pairPaths(at: Path, list: readonly unknown[]): Path[] {
  return list.flatMap((_, i) => ["0", "1"].map((part) => [...at, String(i), part]));
}

/**
 * The ranking in its exact order, with everything tied at its cut. One more key than that is asked for: it must be
 * smaller than the cut, or absent when the truth lists every key.
 */
export function expectRanking(
  ranking: Ranking,
  span: { readonly counter: string; readonly from: string; readonly to: string },
): Expectation {
  const { list, ties } = ranking;
  const cut = list.at(-1)?.[1] ?? 0;
  const above = list.filter(([, count]) => count > cut);
  const isNumber = "keys_with_this_count" in ties;
  const tied = isNumber ? ties.keys_with_this_count : ties.length;
  // Nothing is tied only where the list holds every key, else its own last key would be.
  const all = tied === 0 ? list.length : above.length + tied;
  const known = isNumber ? list : tied === 0 ? list : [...above, ...inOrder(ties).map((key): Ranked => [key, cut])];
  const question: Question = { ...span, feed: "top", limit: all + 1 };
  const compare = (answer: Answer, comparison: Comparison) => {
    const what = describe(question);
    const top = answer.top ?? [];
    compareHead(question, answer, comparison);
    compareRanked(what, known, answer, comparison);
    for (const [i, [key]] of list.entries()) comparison.exact(`${what}, place ${i} as listed`, key, top[i]?.key?.[0]);
    const counted = top.filter(({ count }) => Number(count) === cut).length;
    if (tied > 0) comparison.exact(`${what}, keys tied at ${cut}`, tied, counted);
    if (tied === 0) comparison.exact(`${what}, keys`, list.length, top.length);
    const beyond = Number(top[all]?.count ?? -1);
    comparison.exact(`${what}, what follows is smaller than ${cut}`, true, beyond < cut || cut === 0);
  };
  return { covers: [...ranking.listPaths, ...tiesPaths(ranking.tiesPath, ties)], question, compare };
}

/** Keys and counts from the first place on, and the order of everything in the answer. */
export function compareRanked(
  what: string,
  expected: readonly (readonly [key: string, count: number, sum?: string])[],
  { top = [] }: Answer,
  comparison: Comparison,
): void {
  for (const [i, [key, count, sum]] of expected.entries()) {
    comparison.exact(`${what}, place ${i}`, JSON.stringify([key]), JSON.stringify(top[i]?.key));
    comparison.exact(`${what}, count of place ${i}`, count, top[i]?.count);
    if (sum !== undefined) comparison.sum(`${what}, sum of place ${i}`, sum, top[i]?.sum);
  }
}

function tiesPaths(at: Path, ties: Ties): Path[] {
  const steps = Object.keys(ties);
  return steps.length === 0 ? [at] : steps.map((step) => [...at, step]);
}

function inOrder(keys: readonly string[]): string[] {
  return [...keys].sort(byCodePoints);
}
