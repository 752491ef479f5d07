import { decodeKey, encodeKey } from "../../core/key.ts";
import { bucketCeil, bucketStart, type Window } from "../../core/window.ts";
import { type Check, type Comparison, placeOf, runChecks, spanQuery } from "./checks.ts";
import { type Cell, type Cells, type Expected, type Owner, sumRow } from "./expected.ts";
import { settleRefusals } from "./refusals.ts";
import type { ExpectedNumbers } from "./report.ts";
import { compareSeries, isForgotten } from "./series.ts";
import { lookupPieces, type Span, seriesPieces } from "./spans.ts";

/** Keys whose estimates of distinct members are compared, those with the largest counts. */
const UNIQUE_KEYS = 100;
/** Buckets of the widest window looked at before and after the data, where nothing must be. */
const MARGIN_BUCKETS = 1_000;

/** Compares everything that one counter holds with what it should hold. */
export async function compareCounter(expected: Expected, comparison: Comparison): Promise<void> {
  const { subset } = comparison;
  const { span, counter } = expected;
  if (counter.by.length > 0) {
    await settleRefusals(expected, comparison);
    await compareKeys(expected, comparison);
  }
  if (!span) {
    if (!subset) await runChecks([emptyCheck(expected)], comparison);
    return;
  }
  await runChecks(spanChecks(expected, span, subset), comparison);
  for (const window of counter.windows) {
    const cells = expected.cells(window);
    for (const piece of seriesPieces(cells.keys(), window.ms))
      await compareSeries(counter, window, cells, piece, comparison);
    if (counter.by.length > 0) await runChecks(cellChecks(expected, window, cells), comparison);
  }
}

/** `last` ends at the counter's newest event, so that any event of the counter shows. */
function emptyCheck({ counter }: Expected): Check {
  const query = { counter: counter.name, feed: "value", last: (counter.windows.at(-1) as Window).label } as const;
  return { query, expected: { count: 0n, micro: null, unique: null }, place: () => placeOf(query) };
}

async function compareKeys(expected: Expected, { service, report, subset }: Comparison): Promise<void> {
  const { name, by } = expected.counter;
  const missing = new Set<Owner>(expected.keys());
  for await (const key of service.keys(name)) {
    const text = encodeKey(key);
    if (missing.delete(text)) report.compared++;
    else if (!subset) report.same(false, () => `${name}, key ${JSON.stringify(key)}: is listed, but has no events`);
  }
  for (const text of missing) {
    report.same(false, () => `${name}, key ${JSON.stringify(decodeKey(text as string, by.length))}: is not listed`);
  }
}

/** Totals and keys over everything there is, and nothing before and after. */
function* spanChecks(expected: Expected, span: Span, subset: boolean): Generator<Check> {
  const { counter } = expected;
  const pieces = lookupPieces(counter.windows, span);
  // Estimates over several pieces do not add up.
  const whole = pieces.length === 1;
  for (const { from, to } of pieces) {
    const totals = expected.totals(from, to);
    const numbers = (cell: Cell, unique: number | null): ExpectedNumbers => ({
      count: cell.count,
      micro: counter.sum && cell.micro,
      unique: counter.unique && whole ? unique : null,
    });
    yield check(spanQuery(counter, "total", from, to), numbers(sumRow(totals), expected.members));
    if (counter.by.length === 0) continue;
    const largest = new Set(
      [...totals]
        .sort(([, a], [, b]) => Number(b.count - a.count))
        .slice(0, UNIQUE_KEYS)
        .map(([owner]) => owner),
    );
    for (const [owner, cell] of totals) {
      const unique = largest.has(owner) ? expected.membersOf(owner) : null;
      yield check(spanQuery(counter, { owner }, from, to), numbers(cell, unique));
    }
    if (!totals.has(null) && !subset) yield check(spanQuery(counter, { owner: null }, from, to), NOTHING);
  }
  if (!subset) yield* marginChecks(expected, pieces);
}

const NOTHING: ExpectedNumbers = { count: 0n, micro: null, unique: null };

/** In whole buckets of the widest window, since nothing finer may be held any more at the time of an old bucket. */
function* marginChecks({ counter }: Expected, pieces: readonly Span[]): Generator<Check> {
  const { ms } = counter.windows.at(-1) as Window;
  const from = bucketStart((pieces[0] as Span).from, ms);
  const to = bucketCeil((pieces.at(-1) as Span).to, ms);
  if (from > 0) yield check(spanQuery(counter, "total", from - MARGIN_BUCKETS * ms, from), NOTHING);
  yield check(spanQuery(counter, "total", to, to + MARGIN_BUCKETS * ms), NOTHING);
}

/** Every key in every bucket. */
function* cellChecks({ counter }: Expected, window: Window, cells: Cells): Generator<Check> {
  const mayBeGone = isForgotten(counter, window);
  for (const [start, row] of cells) {
    for (const [owner, { count, micro }] of row) {
      const query = spanQuery(counter, { owner }, start, start + window.ms);
      yield { ...check(query, { count, micro: counter.sum && micro, unique: null }), isBucket: true, mayBeGone };
    }
  }
}

function check(query: Check["query"], expected: ExpectedNumbers): Check {
  return { query, expected, place: () => placeOf(query) };
}
