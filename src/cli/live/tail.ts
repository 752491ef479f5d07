import type { SeriesAnswer } from "../../client/index.ts";
import type { CliIo } from "../replay/io.ts";
import type { Target } from "../target.ts";
import { follow } from "./follow.ts";
import { numberText } from "./text.ts";

export interface TailOptions extends Target {
  readonly counter: string;
  /** Absent: the total over all keys. */
  readonly key?: readonly string[] | undefined;
  /** Absent: the counter's finest. */
  readonly window?: string | undefined;
  readonly last: string;
}

/** Prints a line for every update: what the span holds, and how fast it grows. */
export async function runTail({ counter, key, window, last, ...target }: TailOptions, io: CliIo): Promise<void> {
  const rate = new Rate();
  const query = { feed: "series", counter, last, ...(key && { key }), ...(window && { window }) } as const;
  await follow(
    target,
    query,
    {
      onData: (answer) => io.stdout.write(`${lineOf(answer, rate.update(answer, io.clock.now()))}\n`),
      onTrouble: (trouble) => trouble !== null && io.stderr.write(`tallymark: ${trouble}\n`),
    },
    io,
  );
}

function lineOf({ count, sum, unique, watermark }: SeriesAnswer, perSecond: number | null): string {
  const parts = [`count=${count}`, `delta/s=${perSecond === null ? "-" : perSecond.toFixed(1)}`];
  if (sum !== undefined) parts.push(`sum=${numberText(sum)}`);
  if (unique !== undefined) parts.push(`unique=${unique}`);
  return `${watermark ?? "no events yet"}  ${parts.join("  ")}`;
}

/**
 * How many events per second were counted between two updates. Told from the buckets one by one: the span moves on, so
 * its whole count falls as well as rises.
 */
export class Rate {
  #before: ReadonlyMap<string, number> | null = null;
  #at = 0;

  /** @param now epoch ms; @returns `null` at first */
  update({ buckets }: Pick<SeriesAnswer, "buckets">, now: number): number | null {
    const [before, seconds] = [this.#before, (now - this.#at) / 1_000];
    this.#before = new Map(buckets.map(({ start, count }) => [start, Number(count)]));
    this.#at = now;
    if (before === null || seconds <= 0) return null;
    const gained = [...this.#before].map(([start, count]) => Math.max(0, count - (before.get(start) ?? 0)));
    return gained.reduce((sum, gain) => sum + gain, 0) / seconds;
  }
}
