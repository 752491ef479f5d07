import { type Counter, finestOf } from "../core/counter.ts";
import { bucketStart, type Interval } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseClock } from "../redis/commands/apply.ts";
import { type FoldMarks, parseFoldMarks } from "../redis/commands/fold.ts";
import { type Marks, parseMarks } from "../redis/commands/marks.ts";
import { correctedField, foldField, marksField, type PartitionKeys } from "../redis/keys.ts";
import { pipelinedEach } from "./pipeline.ts";

/** Event time of one counter over all partitions, milliseconds. */
export interface CounterTime {
  /** The smallest clock: no partition is behind it. */
  readonly watermark: number;
  /** The largest clock: the newest event time, going on at wall speed while a live counter is idle. */
  readonly newestClock: number;
  /** Buckets that end here or earlier are closed in every partition. */
  readonly closed: number;
  readonly oldest: number;
  readonly newest: number;
}

/** What one partition holds of a counter. */
export interface Holding {
  readonly partition: PartitionKeys;
  /** One for each of the counter's windows, finest first. */
  readonly marks: readonly Marks[];
  /** For each of the windows, how far its fold has come. */
  readonly folds: readonly FoldMarks[];
  /** The newest event time, ms; `null` before the first event. */
  readonly newest: number | null;
  /** Whether there is a corrected layer. */
  readonly corrected: boolean;
}

export interface CounterState {
  /** `null` before the counter's first event. */
  readonly time: CounterTime | null;
  readonly holdings: readonly Holding[];
}

/** Event time and whereabouts of a counter. Read before its cells, and checked with them: see `readPart`. */
export async function readCounterState(
  client: RedisClient,
  partitions: readonly PartitionKeys[],
  counter: Counter,
): Promise<CounterState> {
  const replies = await pipelinedEach(client, partitions, (partition) => [
    ["hget", partition.clocks, String(counter.generation)],
    ["hmget", partition.cold, ...holdingFields(counter)],
  ]);
  const looks = replies as [string | null, (string | null)[]][];
  const holdings = looks.map(([clock, fields], p): Holding => {
    const partition = partitions[p] as PartitionKeys;
    return {
      partition,
      ...parseWhereabouts(counter, fields),
      newest: clock === null ? null : parseClock(clock).newest,
    };
  });
  return { time: mergeClocks(looks.map(([clock]) => clock)), holdings };
}

/** Fields of `PartitionKeys.cold` that make up a holding. */
export function holdingFields(counter: Counter): string[] {
  const { windows } = counter;
  return [
    correctedField(counter),
    ...windows.map((window) => marksField(counter, window)),
    ...windows.map((window) => foldField(counter, window)),
  ];
}

/** What the values of `holdingFields` say. */
export function parseWhereabouts(
  { windows }: Counter,
  [corrected, ...texts]: readonly (string | null)[],
): Pick<Holding, "marks" | "folds" | "corrected"> {
  return {
    marks: windows.map((_, w) => parseMarks(texts[w] ?? null)),
    folds: windows.map((_, w) => parseFoldMarks(texts[windows.length + w])),
    corrected: corrected !== null,
  };
}

function mergeClocks(texts: readonly (string | null)[]): CounterTime | null {
  const known = texts.filter((text) => text !== null).map(parseClock);
  if (known.length === 0) return null;
  return {
    watermark: Math.min(...known.map(({ clock }) => clock)),
    newestClock: Math.max(...known.map(({ clock }) => clock)),
    // A partition that has no clock yet would still take any event.
    closed: known.length < texts.length ? Number.NEGATIVE_INFINITY : Math.min(...known.map(({ closed }) => closed)),
    oldest: Math.min(...known.map(({ oldest }) => oldest)),
    newest: Math.max(...known.map(({ newest }) => newest)),
  };
}

/** For each window, where its cells hold everything in every partition; elsewhere the next finer window is read. */
export function wholeIn({ windows }: Counter, { holdings }: CounterState): Interval[][] {
  return windows.map(({ ms }, w) => {
    const open = holdings.flatMap((holding) => openIn(holding, w, ms)).sort((a, b) => a.from - b.from);
    const whole: Interval[] = [];
    let from = 0;
    for (const hole of open) {
      if (from < hole.from) whole.push({ from, to: hole.from });
      from = Math.max(from, hole.to);
    }
    return [...whole, { from, to: Number.POSITIVE_INFINITY }];
  });
}

/** Where buckets of a window are not folded in one partition, and hold anything. */
function openIn({ folds, newest }: Holding, w: number, ms: number): Interval[] {
  const { folded, resumed, direct } = folds[w] as FoldMarks;
  const end = newest === null ? 0 : bucketStart(newest, ms) + ms;
  const open = [
    { from: folded, to: Math.min(resumed, end) },
    { from: direct, to: end },
  ];
  return open.filter(({ from, to }) => from < to);
}

/** Whether every lookup has the same plan on both. */
export function areAlike(counter: Counter, a: CounterState, b: CounterState): boolean {
  const { ms } = finestOf(counter);
  const places = ({ time }: CounterState) =>
    time && [time.watermark, time.newestClock, time.oldest, time.newest].map((at) => bucketStart(at, ms));
  const whereabouts = ({ marks, folds, corrected, newest }: Holding) => [
    marks,
    folds,
    corrected,
    newest === null ? null : bucketStart(newest, ms),
  ];
  const facts = (state: CounterState) => JSON.stringify([places(state), state.holdings.map(whereabouts)]);
  return facts(a) === facts(b);
}

/** For each window, the end of what has left cold storage in any partition, ms; a finer window never holds more. */
export function goneTo(counter: Counter, { holdings }: CounterState): number[] {
  const gone = counter.windows.map((_, w) => Math.max(...holdings.map(({ marks }) => marks[w]?.gone ?? 0)));
  for (let w = gone.length - 2; w >= 0; w--) gone[w] = Math.max(gone[w] as number, gone[w + 1] as number);
  return gone;
}
