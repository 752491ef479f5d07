import type { Readable } from "node:stream";
import { setTimeout } from "node:timers/promises";

/** Wall time and waiting; tests give their own. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Resolves after `ms` (or earlier, when that is weeks), or as soon as the signal is aborted; never rejects. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** What a command reads and writes besides its files. */
export interface CliIo {
  readonly stdin: Readable;
  readonly stdout: {
    write(text: string): unknown;
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  /** Aborted when the person at the terminal wants to stop. */
  readonly signal: AbortSignal;
}

/** Timers that are set for longer fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: Date.now,
  async sleep(ms, signal) {
    try {
      await setTimeout(Math.min(ms, TIMER_MS_MAX), undefined, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  },
};

/** The process's own streams and clock. */
export function processIo(signal: AbortSignal): CliIo {
  return { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, fetch, clock: systemClock, signal };
}

/** The command cannot do its work; the message is one sentence for the person at the terminal. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}

/** The first signal asks the command to finish what it is doing; a second one ends the process as usual. */
export function abortOnInterrupt(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  return controller.signal;
}

/** What a shell expects of a command that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

/** Runs a command that answers with its exit code; one that fails says why in a sentence, without a stack trace. */
export async function exitCodeOf(run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    process.stderr.write(`tallymark: ${error.message}\n`);
    return 1;
  }
}
