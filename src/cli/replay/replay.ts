import { monotonicFactory } from "ulid";
import { type Batch, gather } from "./batches.ts";
import { Delivery } from "./delivery.ts";
import { findInputs, type Input, readLines } from "./input.ts";
import type { CliIo } from "./io.ts";
import { type OutgoingLine, prepareLine } from "./outgoing.ts";
import { Pacer } from "./pacer.ts";
import { createProgress, type Progress } from "./progress.ts";
import { type ReplaySummary, Tally } from "./tally.ts";
import { parseServiceUrl } from "./url.ts";

/** Requests in flight when order does not matter. */
export const UNORDERED_REQUESTS = 8;

export interface ReplayOptions {
  /** `-` is standard input. */
  readonly files: readonly string[];
  readonly url: string;
  /** Times the speed at which the events happened; `null`: as fast as it goes. */
  readonly speed: number | null;
  readonly unordered: boolean;
  readonly requestTimeoutMs?: number | undefined;
}

/**
 * Sends the events of the files, one file after the other, and prints the summary. Ends early, with its summary, when
 * `io.signal` is aborted. Throws a CommandFailure when a file cannot be read or the service does not take the events;
 * where sending had begun, the summary has been printed nevertheless.
 */
export async function runReplay(options: ReplayOptions, io: CliIo): Promise<ReplaySummary> {
  const url = parseServiceUrl(options.url);
  const inputs = await findInputs(options.files, io);
  const started = io.clock.now();
  const stop = new AbortController();
  const tally = new Tally(inputs.length > 1);
  const progress = createProgress(io);
  const context: Context = { options, io, tally, progress, started, pacer: new Pacer(io.clock, options.speed) };
  const notice = (sentence: string) => progress.notice(sentence);
  const delivery = new Delivery({
    url,
    io,
    tally,
    signal: stop.signal,
    notice,
    requestTimeoutMs: options.requestTimeoutMs,
  });
  const onInterrupt = () => stop.abort();
  io.signal.addEventListener("abort", onInterrupt);
  if (io.signal.aborted) stop.abort();
  let summary: ReplaySummary;
  try {
    await deliverAll(
      readBatches(inputs, context, stop.signal),
      delivery,
      options.unordered ? UNORDERED_REQUESTS : 1,
      stop,
    );
  } finally {
    io.signal.removeEventListener("abort", onInterrupt);
    stop.abort();
    progress.stop();
    summary = tally.summary(Math.round(io.clock.now() - started) / 1_000);
    io.stdout.write(`${JSON.stringify(summary)}\n`);
  }
  return summary;
}

interface Context {
  readonly options: ReplayOptions;
  readonly io: CliIo;
  readonly tally: Tally;
  readonly progress: Progress;
  readonly pacer: Pacer;
  /** Wall time. */
  readonly started: number;
}

function readBatches(inputs: readonly Input[], context: Context, signal: AbortSignal): AsyncGenerator<Batch> {
  const { io, pacer } = context;
  return gather(readOutgoing(inputs, context, signal), {
    clock: io.clock,
    signal,
    dueAt: ({ time }) => pacer.dueAt(time),
    isLive: inputs.some(({ live }) => live),
  });
}

async function* readOutgoing(
  inputs: readonly Input[],
  context: Context,
  signal: AbortSignal,
): AsyncGenerator<OutgoingLine[]> {
  const { io, tally, progress, pacer, started } = context;
  const makeMonotonic = monotonicFactory();
  const makeId = () => makeMonotonic(io.clock.now());
  for (const input of inputs) {
    pacer.startFile();
    progress.start(input.name, input.bytes);
    const onBytes = (bytes: number) => {
      const rate = Math.round(tally.sent / Math.max(0.001, (io.clock.now() - started) / 1_000));
      progress.update(bytes, `${tally.sent} events, ${rate}/s`);
    };
    for await (const lines of readLines(input, signal, onBytes)) {
      const outgoing: OutgoingLine[] = [];
      for (const { number, bytes } of lines) {
        tally.addLine();
        if (bytes) outgoing.push(prepareLine(input.name, number, bytes, makeId));
        else tally.reject(input.name, number, "too_large", "the line is longer than a request may be");
      }
      yield outgoing;
    }
    if (signal.aborted) return;
  }
}

/** Keeps up to `limit` requests in flight; the next batch is gathered meanwhile. */
async function deliverAll(
  batches: AsyncIterable<Batch>,
  delivery: Delivery,
  limit: number,
  stop: AbortController,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const fail = (failure: unknown) => {
    failures.push(failure);
    stop.abort();
  };
  try {
    for await (const batch of batches) {
      while (inFlight.size >= limit) await Promise.race(inFlight);
      if (stop.signal.aborted) break;
      const request: Promise<void> = delivery
        .deliver(batch)
        .catch(fail)
        .finally(() => inFlight.delete(request));
      inFlight.add(request);
    }
  } catch (failure) {
    // What was sent before the input failed is finished as usual.
    failures.push(failure);
  }
  await Promise.all(inFlight);
  if (failures.length > 0) throw failures[0];
}
