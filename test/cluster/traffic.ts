import type { CounterInput } from "../../src/core/counter.ts";

/** Events whose numbers are known without counting them. */

const HOUR_MS = 3_600_000;
const KEYS = 10;
const USERS = 100;
const UNIQUE_TOLERANCE = 3 * 0.0081 * USERS;
/** A number of events that this divides is spread evenly over minutes, keys and users. */
export const CYCLE = 300;

const common = { event: "*", by: ["subject"], windows: ["1m", "1h"], lateness: "4000d" };

/** One of every kind of number, and one that reads cells alone. */
export const COUNTERS: readonly CounterInput[] = [
  { name: "views", unique: "data.user", sum: "data.n", ...common },
  { name: "hits", ...common },
];

/** Start of an hour with events of its own, ms. */
export const hour = (n: number) => Date.parse("2015-09-12T00:00:00Z") + n * HOUR_MS;

/** Events of an hour, from number `first` on. */
export function eventsOf(from: number, first: number, count: number): object[] {
  return Array.from({ length: count }, (_, offset) => {
    const i = first + offset;
    const time = from + (i % 60) * 60_000;
    return {
      id: `${from}.${i}`,
      type: "view",
      subject: `/${i % KEYS}`,
      time,
      data: { user: `u${i % USERS}`, n: 0.25 },
    };
  });
}

/** A lookup of an hour, and the figures that its answer holds once all events of that hour are counted. */
export interface Question {
  readonly path: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape, which the comparison checks
  readonly figures: (body: any) => unknown;
  readonly expected: unknown;
}

export function questionsOf(from: number, count: number): Question[] {
  const span = `from=${from}&to=${from + HOUR_MS}`;
  const perKey = count / KEYS;
  const isRight = (unique: number) => Math.abs(unique - USERS) < UNIQUE_TOLERANCE;
  const counts = (rows: { count: number }[]) => rows.map((row) => row.count);
  return [
    {
      path: `views/value?${span}`,
      figures: ({ count, sum, unique }) => [count, sum, isRight(unique)],
      expected: [count, count / 4, true],
    },
    {
      path: `views/series?window=1m&${span}`,
      figures: ({ buckets }) => counts(buckets),
      expected: Array(60).fill(count / 60),
    },
    { path: `hits/value?key=/3&${span}`, figures: (body) => body.count, expected: perKey },
    {
      path: `hits/series?window=1m&${span}`,
      figures: ({ buckets }) => counts(buckets),
      expected: Array(60).fill(count / 60),
    },
    { path: `hits/top?limit=${KEYS}&${span}`, figures: ({ top }) => counts(top), expected: Array(KEYS).fill(perKey) },
    { path: `hits/keys`, figures: ({ keys }) => keys.length, expected: KEYS },
  ];
}
