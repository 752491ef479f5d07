import type { Clock } from "./io.ts";
import type { OutgoingLine } from "./outgoing.ts";

/** Events sent in one request: a tenth of what the service takes, so that a request is soon answered. */
export const BATCH_EVENTS_MAX = 1_000;
/** Bytes sent in one request, half of what the service takes. */
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;
/** A line that may be sent waits at most this long for others to go with it, ms. */
export const GATHER_MS_MAX = 200;

export type Batch = readonly OutgoingLine[];

export interface GatherOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Wall time at which a line may be sent. */
  dueAt(line: OutgoingLine): number;
  /** Whether lines may be slow to come. */
  readonly isLive: boolean;
}

/** Gathers lines into batches, in order. Ends early when the signal is aborted. */
export async function* gather(
  chunks: AsyncIterable<readonly OutgoingLine[]>,
  options: GatherOptions,
): AsyncGenerator<Batch> {
  const { clock, signal } = options;
  const source = chunks[Symbol.asyncIterator]();
  const batch = new Gathering(clock);
  for (;;) {
    const next = source.next();
    if (!batch.isEmpty && options.isLive && (await isSlow(next, batch.deadline - clock.now(), clock)))
      yield batch.take();
    const result = await next;
    if (result.done || signal.aborted) break;
    for (const line of result.value) {
      const due = options.dueAt(line);
      if (!batch.isEmpty && Math.max(due, clock.now()) >= batch.deadline) yield batch.take();
      while (clock.now() < due && !signal.aborted) await clock.sleep(due - clock.now(), signal);
      if (signal.aborted) return;
      if (!batch.fits(line)) yield batch.take();
      batch.add(line);
    }
  }
  if (!batch.isEmpty && !signal.aborted) yield batch.take();
}

class Gathering {
  readonly #clock: Clock;
  #lines: OutgoingLine[] = [];
  #bytes = 0;
  /** When the lines must go, wall time. */
  deadline = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#lines.length === 0;
  }

  fits({ bytes }: OutgoingLine): boolean {
    return this.isEmpty || (this.#lines.length < BATCH_EVENTS_MAX && this.#bytes + bytes.length + 1 <= BATCH_BYTES_MAX);
  }

  add(line: OutgoingLine): void {
    if (this.isEmpty) this.deadline = this.#clock.now() + GATHER_MS_MAX;
    this.#lines.push(line);
    this.#bytes += line.bytes.length + 1;
  }

  take(): Batch {
    const lines = this.#lines;
    this.#lines = [];
    this.#bytes = 0;
    return lines;
  }
}

/** Whether nothing comes within the time. */
async function isSlow(next: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  const timer = new AbortController();
  try {
    return await Promise.race([next.then(() => false), clock.sleep(Math.max(0, ms), timer.signal).then(() => true)]);
  } finally {
    timer.abort();
  }
}
