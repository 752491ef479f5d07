import { isDeepStrictEqual } from "node:util";
import { checkKeys, keyFigurePaths } from "./check-keys.ts";
import { Comparison } from "./compare.ts";
import type { Path } from "./coverage.ts";
import { dayOf, expectTruth } from "./expect-truth.ts";
import { describe, type Expectation } from "./expectation.ts";
import { type Answer, ask, askAll, type Question } from "./questions.ts";
import { expectRecount, recountKeys } from "./recount.ts";
import { COUNTERS, type Dataset, type LogEvent, loadLines, loadTruth, type Truth } from "./truth.ts";

export interface Findings {
  /** Figures compared. */
  readonly checked: number;
  readonly differences: readonly string[];
}

/** One question in so many is also asked over its own path, which must give the same answer as `POST /v1/query`. */
const ALSO_OVER_GET = 20;

/**
 * Compares everything the truth file of a log holds with what the service answers, given that its counters are those of
 * `counters.json` and that the whole log was counted once.
 */
export async function checkTruth(baseUrl: string, dataset: Dataset): Promise<Findings> {
  const truth = loadTruth(dataset);
  const day = dayOf(truth);
  const events = loadLines(dataset).map((line) => JSON.parse(line) as LogEvent);
  const counters = Object.entries(COUNTERS[dataset]);
  const comparison = new Comparison();
  const recounted = expectRecount(dataset, events, Object.values(COUNTERS[dataset]), day);
  await checkExpectations(baseUrl, [...expectTruth(truth), ...recounted], comparison);
  for (const [dimension, counter] of counters) {
    const of = truth.dims[dimension]!;
    await checkKeys(baseUrl, { counter, ...day }, of, recountKeys(counter, events), comparison);
  }
  return comparison;
}

/** The places of the truth file that `checkTruth` compares. */
export function coveredPaths(truth: Truth): Path[] {
  const ofKeys = Object.keys(COUNTERS[truth.dataset]).flatMap(keyFigurePaths);
  return [...expectTruth(truth).flatMap(({ covers }) => covers), ...ofKeys];
}

async function checkExpectations(
  baseUrl: string,
  expectations: readonly Expectation[],
  comparison: Comparison,
): Promise<void> {
  const questions = new Map(expectations.map(({ question }) => [JSON.stringify(question), question]));
  const asked = [...questions.values()];
  const answers = await askAll(baseUrl, asked);
  const byQuestion = new Map([...questions.keys()].map((text, i) => [text, answers[i]!]));
  for (const { question, compare } of expectations) compare(byQuestion.get(JSON.stringify(question))!, comparison);
  await checkOwnPaths(baseUrl, asked, answers, comparison);
}

async function checkOwnPaths(
  baseUrl: string,
  questions: readonly Question[],
  answers: readonly Answer[],
  comparison: Comparison,
): Promise<void> {
  for (let i = 0; i < questions.length; i += ALSO_OVER_GET) {
    const alone = await ask(baseUrl, questions[i]!);
    const what = `${describe(questions[i]!)}, alone as in a batch`;
    comparison.exact(what, true, isDeepStrictEqual(alone, answers[i]));
  }
}
