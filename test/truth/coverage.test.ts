import { describe, expect, it } from "vitest";
import { coveredPaths } from "./check.ts";
import { byCodePoints } from "./compare.ts";
import { isNotAskable, leafPaths, meets, NOT_ASKABLE, pathText } from "./coverage.ts";
import { DATA_DIR, type Dataset, loadTruth, type Ranked, type Ties } from "./truth.ts";

const DATASETS: Dataset[] = ["nasa-1995-08-01", "wiki-2015-09-12"];

describe.skipIf(!DATA_DIR)("what of the truth is checked (needs TALLYMARK_TEST_DATA)", () => {
  it.each(DATASETS)("%s: every figure is asked for or listed as not askable", (dataset) => {
    const truth = loadTruth(dataset);
    const covered = new Set(coveredPaths(truth).map(pathText));
    const skipped = leafPaths(truth).filter((path) => !covered.has(pathText(path)) && !isNotAskable(path));
    expect(skipped.map(pathText)).toEqual([]);
  });

  it.each(DATASETS)("%s: nothing that is asked for is missing from the file", (dataset) => {
    const truth = loadTruth(dataset);
    const present = new Set(leafPaths(truth).map(pathText));
    const missing = coveredPaths(truth)
      .map(pathText)
      .filter((path) => !present.has(path));
    expect(missing).toEqual([]);
  });

  it.each(DATASETS)("%s: nothing is both asked for and listed as not askable", (dataset) => {
    expect(coveredPaths(loadTruth(dataset)).filter(isNotAskable).map(pathText)).toEqual([]);
  });

  it("lists as not askable only what the files hold", () => {
    const present = DATASETS.flatMap((dataset) => leafPaths(loadTruth(dataset)));
    const idle = NOT_ASKABLE.filter(({ path }) => !present.some((leaf) => meets(path, leaf)));
    expect(idle).toEqual([]);
  });

  it.each(DATASETS)("%s: rankings are in the order that the service promises, with all that is tied", (dataset) => {
    for (const { list, ties, size } of rankingsOf(dataset)) {
      const sorted = [...list].sort((a, b) => b[1] - a[1] || byCodePoints(a[0], b[0]));
      expect(list).toEqual(sorted);
      // What the comparison of rankings rests on: an incomplete or just complete list names its own last key as tied.
      if (Object.keys(ties).length === 0) expect(list.length).toBeLessThan(size);
      else expect(list).toHaveLength(size);
      if (Array.isArray(ties)) expect(ties).toEqual([...ties].sort(byCodePoints));
    }
  });
});

interface TruthRanking {
  readonly list: readonly Ranked[];
  readonly ties: Ties;
  readonly size: number;
}

function rankingsOf(dataset: Dataset): TruthRanking[] {
  return Object.values(loadTruth(dataset).dims).flatMap((of) => [
    { list: of.top20.map(({ key, events }): Ranked => [key, events]), ties: of.top20_tied_at_cut, size: 20 },
    { list: of.busiest_hour_top20.top20, ties: of.busiest_hour_top20.tied_at_cut, size: 20 },
    { list: of.top20_by_distinct_users.top20, ties: of.top20_by_distinct_users.tied_at_cut, size: 20 },
    ...Object.values(of.top5_each_hour).map(({ top5, tied_at_cut }) => ({ list: top5, ties: tied_at_cut, size: 5 })),
    ...of.sliding_windows.map(({ top10, tied_at_cut }) => ({ list: top10, ties: tied_at_cut, size: 10 })),
  ]);
}
