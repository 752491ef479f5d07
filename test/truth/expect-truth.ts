import { bucketPaths, countBuckets, countPaths, figureBuckets, type Span } from "./buckets.ts";
import type { Path } from "./coverage.ts";
import { expectDimension } from "./expect-dimension.ts";
import {
  describe,
  type Expectation,
  type Expected,
  expectSeries,
  expectValue,
  figurePaths,
  fromFigures,
} from "./expectation.ts";
import { COUNTERS, type Truth } from "./truth.ts";

/** The one day that the log lies in. */
export function dayOf(truth: Truth): Span {
  const [day, ...more] = Object.keys(truth.per_day);
  if (!day || more.length > 0) throw new Error("a truth file must be of one day");
  return { from: day, to: new Date(Date.parse(day) + 86_400_000).toISOString() };
}

/** The counters whose total over all keys is the log's: one by each dimension, and the one by type. */
function countersOf(truth: Truth): string[] {
  return [...Object.values(COUNTERS[truth.dataset]), "types"];
}

/** Everything in the truth file that can be asked for, except what needs the list of keys. */
export function expectTruth(truth: Truth): Expectation[] {
  const day = dayOf(truth);
  return [
    ...countersOf(truth).flatMap((counter) => expectTotals(truth, counter, day)),
    ...expectTypes(truth, day),
    ...expectEnds(truth, day),
    ...Object.entries(COUNTERS[truth.dataset]).flatMap(([dimension, counter]) =>
      expectDimension(["dims", dimension], truth.dims[dimension]!, counter, day),
    ),
  ];
}

function expectTotals(truth: Truth, counter: string, day: Span): Expectation[] {
  const hours = figureBuckets(truth.per_hour);
  const minutes = countBuckets(truth.per_minute);
  const total: Expected = { count: truth.events, sum: truth.value.sum, unique: truth.distinct_users };
  const totalPaths = [["events"], ["distinct_ids"], ["value", "sum"], ["distinct_users"]];
  const peakPaths = [0, 1, 2].flatMap((i) => ["0", "1"].map((part) => ["peaks", "minute", String(i), part]));
  return [
    expectValue(totalPaths, { counter, feed: "value", ...day }, total),
    expectSeries(
      bucketPaths(["per_day"], truth.per_day),
      { counter, feed: "series", window: "1d", ...day },
      figureBuckets(truth.per_day),
    ),
    expectSeries(bucketPaths(["per_hour"], truth.per_hour), { counter, feed: "series", window: "1h", ...day }, hours),
    expectSeries(
      countPaths(["per_minute"], truth.per_minute),
      { counter, feed: "series", window: "1m", ...day },
      minutes,
    ),
    expectPeaks(
      [
        ["peaks", "hour", "0"],
        ["peaks", "hour", "1"],
      ],
      [truth.peaks.hour],
      { counter, window: "1h", ...day },
    ),
    expectPeaks(peakPaths, truth.peaks.minute, { counter, window: "1m", ...day }),
  ];
}

/** The largest buckets of a series, the earlier first among equals. */
function expectPeaks(
  covers: readonly Path[],
  peaks: readonly (readonly [string, number])[],
  series: Span & { readonly counter: string; readonly window: string },
): Expectation {
  const question = { ...series, feed: "series" } as const;
  return {
    covers,
    question,
    compare: ({ buckets = [] }, comparison) => {
      const largest = [...buckets].sort((a, b) => Number(b.count) - Number(a.count) || (a.start < b.start ? -1 : 1));
      for (const [i, [start, count]] of peaks.entries()) {
        comparison.exact(`${describe(question)}, peak ${i}`, new Date(start).toISOString(), largest[i]?.start);
        comparison.exact(`${describe(question)}, count of peak ${i}`, count, largest[i]?.count);
      }
    },
  };
}

/** Both logs are in the counter by type; their types have different names. */
function expectTypes(truth: Truth, day: Span): Expectation[] {
  return Object.entries(truth.by_type).flatMap(([type, figures]) => {
    const asked = { counter: "types", key: [type], ...day };
    const perBucket = (name: "per_day" | "per_hour", window: string) => {
      const buckets = Object.entries(truth[name]).filter(([, { by_type }]) => by_type?.[type] !== undefined);
      return expectSeries(
        buckets.map(([start]) => [name, start, "by_type", type]),
        { ...asked, feed: "series", window },
        buckets.map(([start, { by_type }]) => ({ start: Date.parse(start), count: by_type?.[type] ?? 0 })),
      );
    };
    return [
      expectValue(figurePaths(["by_type", type]), { ...asked, feed: "value" }, fromFigures(figures)),
      perBucket("per_day", "1d"),
      perBucket("per_hour", "1h"),
    ];
  });
}

/** The first and the last event time, as far as the finest bucket of each counter tells them. */
function expectEnds(truth: Truth, day: Span): Expectation[] {
  return Object.values(COUNTERS[truth.dataset]).flatMap((counter): Expectation[] => {
    const window = counter === "channels" ? "10s" : "1m";
    const width = window === "10s" ? 10_000 : 60_000;
    const start = (time: string) => Math.floor(Date.parse(time) / width) * width;
    const last = { counter, feed: "value", last: "1h" } as const;
    const series = { counter, feed: "series", window, ...day } as const;
    return [
      {
        covers: [["time_max"]],
        question: last,
        compare: ({ from, to }, comparison) => {
          const end = start(truth.time_max) + width;
          comparison.exact(`${describe(last)}, to`, new Date(end).toISOString(), to);
          comparison.exact(`${describe(last)}, from`, new Date(end - 3_600_000).toISOString(), from);
        },
      },
      {
        covers: [["time_min"]],
        question: series,
        compare: ({ buckets = [] }, comparison) => {
          const first = buckets.find(({ count }) => count !== 0)?.start;
          comparison.exact(`${describe(series)}, first event`, new Date(start(truth.time_min)).toISOString(), first);
        },
      },
    ];
  });
}
