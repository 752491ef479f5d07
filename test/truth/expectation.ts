import type { Comparison } from "./compare.ts";
import type { Path } from "./coverage.ts";
import type { Answer, Question } from "./questions.ts";
import type { Figures } from "./truth.ts";

/** A question to the service and what its answer must say. */
export interface Expectation {
  /** The places of the truth file that the answer is compared with. */
  readonly covers: readonly Path[];
  readonly question: Question;
  readonly compare: (answer: Answer, comparison: Comparison) => void;
}

/** What is known of one cell; an absent figure is not compared. */
export interface Expected {
  readonly count: number;
  /** Decimal text. */
  readonly sum?: string;
  readonly unique?: number;
}

export interface ExpectedBucket extends Expected {
  /** Epoch milliseconds. */
  readonly start: number;
}

const WIDTHS: Readonly<Record<string, number>> = { "10s": 10_000, "1m": 60_000, "1h": 3_600_000, "1d": 86_400_000 };

export function fromFigures({ events, value_sum, distinct_users }: Figures): Expected {
  return { count: events, sum: value_sum, unique: distinct_users };
}

/** The places that `fromFigures` takes its figures from. */
export function figurePaths(at: Path): Path[] {
  return ["events", "value_sum", "distinct_users"].map((field) => [...at, field]);
}

export function describe({ feed, counter, key, ...rest }: Question): string {
  const parameters = Object.entries(rest).map(([name, value]) => `${name}=${value}`);
  return [feed, "of", counter, key ? JSON.stringify(key) : "total", ...parameters].join(" ");
}

export function expectValue(covers: readonly Path[], question: Question, expected: Expected): Expectation {
  return {
    covers,
    question,
    compare: (answer, comparison) => {
      compareHead(question, answer, comparison);
      compareNumbers(describe(question), expected, answer, comparison);
    },
  };
}

/** A whole series: buckets that are not expected must be there and empty. */
export function expectSeries(
  covers: readonly Path[],
  question: Question & { readonly window: string; readonly from: string; readonly to: string },
  expected: readonly ExpectedBucket[],
): Expectation {
  const width = WIDTHS[question.window] as number;
  const [from, to] = [Date.parse(question.from), Date.parse(question.to)];
  const byStart = new Map(expected.map((bucket) => [bucket.start, bucket]));
  const compare = (answer: Answer, comparison: Comparison) => {
    const what = describe(question);
    const buckets = answer.buckets ?? [];
    compareHead(question, answer, comparison);
    comparison.exact(`${what}, buckets`, (to - from) / width, buckets.length);
    for (const [i, bucket] of buckets.entries()) {
      const start = from + i * width;
      const where = `${what}, bucket ${new Date(start).toISOString()}`;
      comparison.exact(`${where}, start`, new Date(start).toISOString(), bucket.start);
      compareNumbers(where, byStart.get(start) ?? nothingOf(bucket), bucket, comparison);
    }
  };
  return { covers, question, compare };
}

/** An empty cell has the figures that its neighbours have, and each is 0. */
function nothingOf(actual: object): Expected {
  return { count: 0, ...("sum" in actual && { sum: "0" }), ...("unique" in actual && { unique: 0 }) };
}

export function compareHead(question: Question, answer: Answer, comparison: Comparison): void {
  const what = describe(question);
  comparison.exact(`${what}, counter`, question.counter, answer.counter);
  if (question.from) comparison.exact(`${what}, from`, new Date(question.from).toISOString(), answer.from);
  if (question.to) comparison.exact(`${what}, to`, new Date(question.to).toISOString(), answer.to);
  if (question.feed === "top") return;
  comparison.exact(`${what}, key`, JSON.stringify(question.key ?? null), JSON.stringify(answer.key));
}

export function compareNumbers(
  what: string,
  expected: Expected,
  actual: { readonly count?: number | string; readonly sum?: number | string; readonly unique?: number },
  comparison: Comparison,
): void {
  comparison.exact(`${what}, count`, expected.count, actual.count);
  if (expected.sum !== undefined) comparison.sum(`${what}, sum`, expected.sum, actual.sum);
  if (expected.unique !== undefined) comparison.estimate(`${what}, unique`, expected.unique, actual.unique);
}
