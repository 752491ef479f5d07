import type { Span } from "./buckets.ts";
import { byCodePoints, type Comparison } from "./compare.ts";
import type { Path } from "./coverage.ts";
import { askAll, listKeys } from "./questions.ts";
import type { Recounted } from "./recount.ts";
import type { DimensionTruth } from "./truth.ts";

/** The figures of a dimension that need its whole list of keys. */
const KEY_FIGURES = [
  "cardinality",
  "top1_share",
  "top10_share",
  "top100_share",
  "singletons",
  "longest_key_utf8_bytes",
  "longest_key",
  "non_ascii_keys",
  "astral_keys",
  "keys_lost_if_case_folded",
  "empty_keys",
  "distinct_dim_user_pairs",
] as const;

export function keyFigurePaths(dimension: string): Path[] {
  return KEY_FIGURES.map((figure) => ["dims", dimension, figure]);
}

/** Lists all keys of the counter and asks for each; they must be the log's, and give the truth's figures of the whole. */
export async function checkKeys(
  baseUrl: string,
  asked: Span & { readonly counter: string },
  truth: DimensionTruth,
  recounted: ReadonlyMap<string, Recounted>,
  comparison: Comparison,
): Promise<void> {
  const { counter } = asked;
  const listed = (await listKeys(baseUrl, counter)).map((key) => key.join("\0"));
  const expected = [...recounted.keys()].sort(byCodePoints);
  comparison.exact(`keys of ${counter}, in order`, JSON.stringify(expected), JSON.stringify(listed));
  const answers = await askAll(
    baseUrl,
    listed.map((key) => ({ ...asked, feed: "value", key: [key] })),
  );
  const figures = new Map(listed.map((key, i) => [key, answers[i]!]));
  for (const [key, { count, sum, users }] of recounted) {
    const answer = figures.get(key);
    comparison.exact(`count of ${key} in ${counter}`, count, answer?.count);
    comparison.sum(`sum of ${key} in ${counter}`, String(sum), answer?.sum);
    comparison.estimate(`distinct users of ${key} in ${counter}`, users.size, answer?.unique);
  }
  compareTexts(counter, listed, truth, comparison);
  const counts = answers.map(({ count }) => Number(count));
  compareShares(counter, counts, truth, comparison);
  const pairs = answers.reduce((total, { unique = 0 }) => total + unique, 0);
  comparison.estimate(`pairs of key and user in ${counter}`, truth.distinct_dim_user_pairs, pairs);
}

function compareTexts(counter: string, keys: readonly string[], truth: DimensionTruth, comparison: Comparison): void {
  const having = (pattern: RegExp) => keys.filter((key) => pattern.test(key)).length;
  const figures = {
    cardinality: keys.length,
    longest_key_utf8_bytes: keys.reduce((longest, key) => Math.max(longest, Buffer.byteLength(key)), 0),
    // Several keys can be of that length; the truth names one.
    longest_key: keys.find((key) => key === truth.longest_key),
    non_ascii_keys: having(/\P{ASCII}/u),
    astral_keys: having(/[\u{10000}-\u{10FFFF}]/u),
    keys_lost_if_case_folded: keys.length - new Set(keys.map((key) => key.toLowerCase())).size,
    empty_keys: having(/^$/),
  };
  for (const [name, actual] of Object.entries(figures)) {
    comparison.exact(`${name} of ${counter}`, truth[name as keyof typeof figures], actual);
  }
}

function compareShares(
  counter: string,
  counts: readonly number[],
  truth: DimensionTruth,
  comparison: Comparison,
): void {
  const descending = [...counts].sort((a, b) => b - a);
  const total = sum(descending);
  const share = (keys: number) => Number((sum(descending.slice(0, keys)) / total).toFixed(5));
  comparison.exact(`top1_share of ${counter}`, truth.top1_share, share(1));
  comparison.exact(`top10_share of ${counter}`, truth.top10_share, share(10));
  comparison.exact(`top100_share of ${counter}`, truth.top100_share, share(100));
  comparison.exact(`singletons of ${counter}`, truth.singletons, counts.filter((count) => count === 1).length);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
