import { type Counter, finestOf } from "../core/counter.ts";
import { bucketStart } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseClock } from "../redis/commands/apply.ts";
import { parseFoldMark } from "../redis/commands/fold.ts";
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
  /** For each of the windows, the end of what its cells hold wholly, ms; what is later is read from the next finer one. */
  readonly folded: readonly number[];
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
  const holdings = looks.map(([, fields], p) => parseHolding(partitions[p] as PartitionKeys, counter, fields));
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

/** A holding from the values of `holdingFields`. */
export function parseHolding(
  partition: PartitionKeys,
  { windows }: Counter,
  [corrected, ...texts]: readonly (string | null)[],
): Holding {
  return {
    partition,
    marks: windows.map((_, w) => parseMarks(texts[w] ?? null)),
    folded: windows.map((_, w) => parseFoldMark(texts[windows.length + w]).folded),
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

/** For each window, the end of what its cells hold wholly in every partition, ms. */
export function foldedTo(counter: Counter, { holdings }: CounterState): number[] {
  return counter.windows.map((_, w) => Math.min(...holdings.map(({ folded }) => folded[w] as number)));
}

/** Whether every lookup has the same plan on both. */
export function areAlike(counter: Counter, a: CounterState, b: CounterState): boolean {
  const { ms } = finestOf(counter);
  const places = ({ time }: CounterState) =>
    time && [time.watermark, time.newestClock, time.oldest, time.newest].map((at) => bucketStart(at, ms));
  const whereabouts = ({ partition: _, ...rest }: Holding) => rest;
  const facts = (state: CounterState) => JSON.stringify([places(state), state.holdings.map(whereabouts)]);
  return facts(a) === facts(b);
}

/** For each window, the end of what has left cold storage in any partition, ms; a finer window never holds more. */
export function goneTo(counter: Counter, { holdings }: CounterState): number[] {
  const gone = counter.windows.map((_, w) => Math.max(...holdings.map(({ marks }) => marks[w]?.gone ?? 0)));
  for (let w = gone.length - 2; w >= 0; w--) gone[w] = Math.max(gone[w] as number, gone[w + 1] as number);
  return gone;
}
