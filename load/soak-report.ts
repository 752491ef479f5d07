import { keptBytes, type Sample } from "./soak-sample.ts";

const MEGABYTE = 1024 * 1024;
const mb = (bytes: number) => (bytes / MEGABYTE).toFixed(1);

/** Growth per minute by least squares. */
export function slopePerMinute(samples: readonly Sample[], of: (sample: Sample) => number): number {
  const points = samples.map((sample) => [sample.at / 60, of(sample)] as const);
  const mean = (pick: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const [x, y] = [mean(([at]) => at), mean(([, value]) => value)];
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0);
  return points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0) / spread;
}

/** All figures of a soak: what is printed, and the line of JSON at its end. */
export function summarize(samples: readonly Sample[], steadyAfter: number, faults: readonly string[], retries: number) {
  // A run too short to become steady is judged by its second half.
  const from = Math.min(steadyAfter, (samples.at(-1)?.at ?? 0) / 2);
  const steady = samples.filter(({ at }) => at >= from);
  const measured = steady.filter(({ holdings }) => holdings !== null);
  const held = (of: (holdings: NonNullable<Sample["holdings"]>, sample: Sample) => number) =>
    slopePerMinute(measured, (sample) => of(sample.holdings as NonNullable<Sample["holdings"]>, sample));
  const [first, last] = [measured[0]?.holdings, measured.at(-1)?.holdings];
  const cells = last && first ? last.cells.members - first.cells.members : 0;
  return {
    exact: faults.length === 0,
    faults,
    retries,
    sent: samples.at(-1)?.sent ?? 0,
    judgedFromSecond: from,
    bytesPerMinute: {
      rss: slopePerMinute(steady, ({ rss }) => rss),
      heap: slopePerMinute(steady, ({ heap }) => heap),
      redisRss: slopePerMinute(steady, ({ redisRss }) => redisRss),
      redis: slopePerMinute(steady, ({ redis }) => redis),
      kept: held(keptBytes),
      redisWithoutKept: held((holdings, { redis }) => redis - keptBytes(holdings)),
      dedupe: held(({ ids }) => ids.bytes),
      stream: slopePerMinute(steady, ({ stream }) => stream),
      other: held(({ other, streams, jobs }, { stream }) => other.bytes + streams.bytes + jobs.bytes - stream),
    },
    bytesPerNewCell: last && first && cells > 0 ? (last.cells.bytes - first.cells.bytes) / cells : null,
  };
}

export function printMinute(sample: Sample, before: Sample | undefined): void {
  const rate = (sample.sent - (before?.sent ?? 0)) / (sample.at - (before?.at ?? 0) || 1);
  const kinds = sample.holdings;
  const columns = [
    (sample.at / 60).toFixed(1),
    Math.round(rate).toString(),
    mb(sample.rss),
    mb(sample.heap),
    mb(sample.redisRss),
    mb(sample.redis),
    kinds ? mb(keptBytes(kinds)) : "",
    kinds ? mb(kinds.ids.bytes) : "",
    kinds ? kinds.ids.members.toString() : "",
    mb(sample.stream),
    sample.waiting.toString(),
  ];
  process.stdout.write(`${columns.map((text) => text.padStart(10)).join("")}\n`);
}

export function printHead(): void {
  const names = [
    "minute",
    "events/s",
    "rss",
    "heap",
    "redis rss",
    "redis",
    "kept",
    "dedupe",
    "ids",
    "stream",
    "waiting",
  ];
  process.stdout.write(`\nMemory in MB\n${names.map((text) => text.padStart(10)).join("")}\n`);
}

export function printSummary(figures: ReturnType<typeof summarize>): void {
  process.stdout.write(`\nGrowth per minute from second ${Math.round(figures.judgedFromSecond)} on, MB\n`);
  for (const [name, bytes] of Object.entries(figures.bytesPerMinute)) {
    process.stdout.write(`  ${name.padEnd(20)}${(bytes / MEGABYTE).toFixed(3).padStart(10)}\n`);
  }
  process.stdout.write(`\nexact: ${figures.exact ? "yes" : "NO"}, requests sent again: ${figures.retries}\n`);
  for (const fault of figures.faults) process.stdout.write(`  ${fault}\n`);
  process.stdout.write(`\n${JSON.stringify(figures)}\n`);
}
