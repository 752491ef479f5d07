import { bucketPaths, countBuckets, countPaths, figureBuckets, type Span } from "./buckets.ts";
import type { Path } from "./coverage.ts";
import { type Expectation, expectSeries, expectValue, figurePaths, fromFigures } from "./expectation.ts";
import { expectRanking, pairPaths } from "./ranking.ts";
import type { DimensionTruth, KeyTruth, Ranked, SlidingWindow } from "./truth.ts";

/** The rankings and series of one dimension, asked of the counter by it. */
export function expectDimension(at: Path, truth: DimensionTruth, counter: string, day: Span): Expectation[] {
  return [
    ...expectTop20(at, truth, counter, day),
    ...expectBusiestHour([...at, "busiest_hour_top20"], truth.busiest_hour_top20, counter, day),
    ...expectUniques([...at, "top20_by_distinct_users"], truth.top20_by_distinct_users, counter, day),
    ...Object.entries(truth.top5).flatMap(([key, of]) =>
      expectKey([...at, "top5", key], of, { counter, key: [key], ...day }),
    ),
    ...expectEachHour([...at, "top5_each_hour"], truth.top5_each_hour, counter, day),
    ...truth.sliding_windows.flatMap((of, i) => expectSliding([...at, "sliding_windows", String(i)], of, counter)),
  ];
}

function expectTop20(at: Path, truth: DimensionTruth, counter: string, day: Span): Expectation[] {
  const list = truth.top20.map(({ key, events }): Ranked => [key, events]);
  const place = (i: number) => [...at, "top20", String(i)];
  return [
    expectRanking(
      {
        list,
        ties: truth.top20_tied_at_cut,
        tiesPath: [...at, "top20_tied_at_cut"],
        listPaths: list.flatMap((_, i) => [
          [...place(i), "key"],
          [...place(i), "events"],
        ]),
      },
      { counter, ...day },
    ),
    ...truth.top20.map((figures, i) =>
      expectValue(figurePaths(place(i)), { counter, feed: "value", key: [figures.key], ...day }, fromFigures(figures)),
    ),
  ];
}

function expectBusiestHour(
  at: Path,
  { hour, top20, tied_at_cut }: DimensionTruth["busiest_hour_top20"],
  counter: string,
  day: Span,
): Expectation[] {
  const question = { counter, feed: "series", window: "1h", ...day } as const;
  const busiest: Expectation = {
    covers: [[...at, "hour"]],
    question,
    compare: ({ buckets = [] }, comparison) => {
      const largest = Math.max(...buckets.map(({ count }) => Number(count)));
      const start = buckets.find(({ count }) => count === largest)?.start;
      comparison.exact(`busiest hour of ${counter}`, new Date(hour).toISOString(), start);
    },
  };
  return [
    busiest,
    expectRanking(
      {
        list: top20,
        ties: tied_at_cut,
        tiesPath: [...at, "tied_at_cut"],
        listPaths: pairPaths([...at, "top20"], top20),
      },
      { counter, ...hourFrom(hour) },
    ),
  ];
}

/** No counter ranks by distinct users, but each listed key can be asked for its own. */
function expectUniques(
  at: Path,
  { top20, tied_at_cut }: DimensionTruth["top20_by_distinct_users"],
  counter: string,
  day: Span,
): Expectation[] {
  if (!Array.isArray(tied_at_cut)) throw new Error("ties by distinct users are expected to be listed");
  const users = (key: string, expected: number, covers: Path[]): Expectation => {
    const question = { counter, feed: "value", key: [key], ...day } as const;
    const compare: Expectation["compare"] = ({ unique }, comparison) =>
      comparison.estimate(`distinct users of ${key} in ${counter}`, expected, unique);
    return { covers, question, compare };
  };
  const cut = top20.at(-1)?.[1] ?? 0;
  const pairs = pairPaths([...at, "top20"], top20);
  const tiedPath = [...at, "tied_at_cut"];
  const listed = top20.map(([key, expected], i) => users(key, expected, pairs.slice(2 * i, 2 * i + 2)));
  const tied = tied_at_cut.map((key: string, i) => users(key, cut, [[...tiedPath, String(i)]]));
  return tied.length > 0 ? [...listed, ...tied] : [...listed, expectNoMoreThan(top20.length, tiedPath, counter, day)];
}

/** An empty list of ties says that there is no further key. */
function expectNoMoreThan(keys: number, tiedPath: Path, counter: string, day: Span): Expectation {
  return {
    covers: [tiedPath],
    question: { counter, feed: "top", limit: keys + 1, ...day },
    compare: ({ top }, comparison) => comparison.exact(`keys of ${counter}`, keys, top?.length),
  };
}

function expectKey(at: Path, truth: KeyTruth, asked: Span & { readonly counter: string; readonly key: string[] }) {
  const { per_day, per_hour, per_minute } = truth;
  const series = { ...asked, feed: "series" } as const;
  return [
    expectValue(figurePaths(at), { ...asked, feed: "value" }, fromFigures(truth)),
    expectSeries(bucketPaths([...at, "per_day"], per_day), { ...series, window: "1d" }, figureBuckets(per_day)),
    expectSeries(bucketPaths([...at, "per_hour"], per_hour), { ...series, window: "1h" }, figureBuckets(per_hour)),
    expectSeries(countPaths([...at, "per_minute"], per_minute), { ...series, window: "1m" }, countBuckets(per_minute)),
  ];
}

/** Every hour of the day, also those of which the truth has none: their ranking is empty. */
function expectEachHour(at: Path, hours: DimensionTruth["top5_each_hour"], counter: string, day: Span): Expectation[] {
  return Array.from({ length: 24 }, (_, i) => {
    const hour = new Date(Date.parse(day.from) + i * 3_600_000).toISOString().replace(".000Z", "Z");
    const { top5, tied_at_cut } = hours[hour] ?? { top5: [], tied_at_cut: [] };
    const covered = hour in hours;
    const tiesPath = [...at, hour, "tied_at_cut"];
    const expectation = expectRanking(
      { list: top5, ties: tied_at_cut, tiesPath, listPaths: pairPaths([...at, hour, "top5"], top5) },
      { counter, ...hourFrom(hour) },
    );
    return covered ? expectation : { ...expectation, covers: [] };
  });
}

function expectSliding(at: Path, truth: SlidingWindow, counter: string): Expectation[] {
  const { from, to_exclusive: to, events, distinct_users, top10, tied_at_cut } = truth;
  const minutes = (Date.parse(to) - Date.parse(from)) / 60_000;
  if (minutes !== truth.minutes) throw new Error(`a sliding window from ${from} is not of ${truth.minutes} minutes`);
  return [
    expectValue(
      ["from", "to_exclusive", "minutes", "events", "distinct_users"].map((field) => [...at, field]),
      { counter, feed: "value", from, to },
      { count: events, unique: distinct_users },
    ),
    expectRanking(
      {
        list: top10,
        ties: tied_at_cut,
        tiesPath: [...at, "tied_at_cut"],
        listPaths: pairPaths([...at, "top10"], top10),
      },
      { counter, from, to },
    ),
  ];
}

function hourFrom(from: string): Span {
  return { from, to: new Date(Date.parse(from) + 3_600_000).toISOString() };
}
