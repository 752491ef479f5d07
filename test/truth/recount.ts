import type { Span } from "./buckets.ts";
import { byCodePoints } from "./compare.ts";
import { describe, type Expectation, type ExpectedBucket, expectSeries, expectValue } from "./expectation.ts";
import type { Question } from "./questions.ts";
import { compareRanked } from "./ranking.ts";
import type { Dataset, LogEvent } from "./truth.ts";

/** What one key, or one bucket, has in the log. */
export interface Recounted {
  count: number;
  sum: number;
  readonly users: Set<unknown>;
}

/** The counted field of an event, by the counter's name. */
const FIELDS: Readonly<Record<string, (event: LogEvent) => string>> = {
  hits: (event) => event.subject,
  statuses: (event) => event.data.status as string,
  edits: (event) => event.subject,
  channels: (event) => event.data.channel as string,
};

export function recountKeys(counter: string, events: readonly LogEvent[]): Map<string, Recounted> {
  return recountBy(events, FIELDS[counter] as (event: LogEvent) => string);
}

function recountBy<K>(events: readonly LogEvent[], keyOf: (event: LogEvent) => K): Map<K, Recounted> {
  const keys = new Map<K, Recounted>();
  for (const event of events) {
    const key = keyOf(event);
    let of = keys.get(key);
    if (!of) {
      of = { count: 0, sum: 0, users: new Set() };
      keys.set(key, of);
    }
    of.count++;
    // The values of both logs are whole numbers, so the order of addition does not matter.
    of.sum += event.data.value as number;
    of.users.add(event.data.user);
  }
  return keys;
}

/** What the counters answer and the truth files do not hold, recounted from the lines. */
export function expectRecount(dataset: Dataset, events: readonly LogEvent[], counters: readonly string[], day: Span) {
  return [
    ...expectRobots(events, day),
    ...counters.map((counter) => expectTopBySum(counter, events, day)),
    ...(dataset === "wiki-2015-09-12" ? [expectTenSeconds(events, day)] : []),
  ];
}

/** The counter of robots has a condition and no key. */
function expectRobots(events: readonly LogEvent[], day: Span): Expectation[] {
  const robots = events.filter(({ data }) => data.robot === true);
  const asked = { counter: "robots", ...day };
  const users = new Set(robots.map(({ data }) => data.user));
  return [
    expectValue([], { ...asked, feed: "value" }, { count: robots.length, unique: users.size }),
    expectSeries([], { ...asked, feed: "series", window: "1h" }, bucketsOf(robots, 3_600_000)),
  ];
}

function expectTenSeconds(events: readonly LogEvent[], day: Span): Expectation {
  return expectSeries([], { counter: "channels", feed: "series", window: "10s", ...day }, bucketsOf(events, 10_000));
}

function bucketsOf(events: readonly LogEvent[], width: number): ExpectedBucket[] {
  const buckets = recountBy(events, ({ time }) => Math.floor(Date.parse(time) / width) * width);
  return [...buckets].map(([start, { count, users }]) => ({ start, count, unique: users.size }));
}

function expectTopBySum(counter: string, events: readonly LogEvent[], day: Span): Expectation {
  const limit = 100;
  const question: Question = { counter, feed: "top", by: "sum", limit, ...day };
  const keys = [...recountKeys(counter, events)].map(([key, { count, sum }]) => [key, count, sum] as const);
  keys.sort((a, b) => b[2] - a[2] || byCodePoints(a[0], b[0]));
  const compare: Expectation["compare"] = (answer, comparison) => {
    comparison.exact(`${describe(question)}, keys`, Math.min(limit, keys.length), answer.top?.length);
    const expected = keys.slice(0, limit).map(([key, count, sum]) => [key, count, String(sum)] as const);
    compareRanked(describe(question), expected, answer, comparison);
  };
  return { covers: [], question, compare };
}
