import type { Comparison } from "./compare.ts";
import { compareHead, compareNumbers, describe } from "./expectation.ts";
import type { Model, ModelAnswer, ModelCounter } from "./model.ts";
import type { Answer, Question } from "./questions.ts";

const WHOLE = { from: "2021-03-04T22:00:00Z", to: "2021-03-05T02:00:00Z" };
/** Both ends lie within an hour, a minute and ten seconds. */
const RAGGED = { from: "2021-03-04T22:37:13.250Z", to: "2021-03-05T00:41:47Z" };

export const SPANS: readonly Pick<Question, "from" | "to" | "last">[] = [
  WHOLE,
  RAGGED,
  { from: "2021-03-04T23:59:59.999Z", to: "2021-03-05T00:00:00.001Z" },
  { from: "2021-03-04T23:05:00Z", to: "2021-03-04T23:06:00Z" },
  { from: "2021-03-04T22:50:00Z", to: "2021-03-04T23:10:00Z" },
  { from: "2021-03-05T04:40:10+05:30", to: "2021-03-05T06:20:30+05:30" },
  { from: "2021-03-05T00:00:00Z", to: "2021-03-06T00:00:00Z" },
  { from: "2021-02-28T12:00:00Z", to: "2021-03-07T12:00:00Z" },
  { from: "2020-03-04T22:00:00Z", to: "2020-03-05T02:00:00Z" },
  { last: "7m" },
  { last: "90s" },
  { last: "2h" },
  { last: "3d" },
];

/** Keys of which every series is asked for: frequent ones and rare ones. */
const SERIES_KEYS = 12;

export function questionsOf(counter: ModelCounter, model: Model): Question[] {
  const { name } = counter;
  const keys = counter.by.length === 0 ? [] : model.keys(name);
  const absent = counter.by.map(() => "never seen");
  const ranked = (model.answer({ counter: name, feed: "top", limit: 40, ...WHOLE }).top ?? []).map(({ key }) => key);
  const some = counter.by.length === 0 ? [] : [...ranked.slice(0, SERIES_KEYS / 2), ...keys.slice(0, SERIES_KEYS / 2)];
  const value = { counter: name, feed: "value" } as const;
  return [
    ...SPANS.map((span): Question => ({ ...value, ...span })),
    ...keys.map((key): Question => ({ ...value, key, ...WHOLE })),
    ...(keys.length > 0 ? ranked : []).map((key): Question => ({ ...value, key, ...RAGGED })),
    ...(keys.length > 0 ? [{ ...value, key: absent, ...WHOLE }] : []),
    ...[undefined, ...some].flatMap((key) => seriesOf(counter, key)),
    ...topsOf(counter),
  ];
}

function seriesOf({ name, windows }: ModelCounter, key: readonly string[] | undefined): Question[] {
  return windows.flatMap((window) =>
    [WHOLE, RAGGED].map((span): Question => ({ counter: name, feed: "series", window, ...(key && { key }), ...span })),
  );
}

function topsOf({ name, sum }: ModelCounter): Question[] {
  const by = sum ? (["count", "sum"] as const) : (["count"] as const);
  const limits = (last: string | undefined) => (last ? [50] : [1, 50, 1_000]);
  return SPANS.flatMap((span) =>
    by.flatMap((by) =>
      limits(span.last).map((limit): Question => ({ counter: name, feed: "top", by, limit, ...span })),
    ),
  );
}

/** Every figure of the service's answer against the model's. */
export function compareAnswers(
  question: Question,
  expected: ModelAnswer,
  actual: Answer,
  comparison: Comparison,
): void {
  const what = describe(question);
  // The model says to which buckets the span was widened.
  compareHead({ ...question, from: expected.from, to: expected.to }, actual, comparison);
  if (question.feed === "top") {
    compareTop(what, expected, actual, comparison);
    return;
  }
  compareNumbers(what, expected, actual, comparison);
  const buckets = expected.buckets ?? [];
  comparison.exact(`${what}, buckets`, buckets.length, actual.buckets?.length ?? 0);
  for (const [i, bucket] of buckets.entries()) {
    comparison.exact(`${what}, start of bucket ${i}`, bucket.start, actual.buckets?.[i]?.start);
    compareNumbers(`${what}, bucket ${bucket.start}`, bucket, actual.buckets?.[i] ?? {}, comparison);
  }
}

function compareTop(what: string, { top = [] }: ModelAnswer, actual: Answer, comparison: Comparison): void {
  comparison.exact(`${what}, keys`, top.length, actual.top?.length);
  for (const [i, entry] of top.entries()) {
    const found = actual.top?.[i];
    comparison.exact(`${what}, place ${i}`, JSON.stringify(entry.key), JSON.stringify(found?.key));
    compareNumbers(`${what}, place ${i}`, entry, found ?? {}, comparison);
  }
}
