import type { Logger } from "./log.ts";

interface Step {
  readonly name: string;
  readonly run: () => Promise<unknown>;
}

/**
 * What has been started, and how to stop it: in reverse order, so that requests end before workers, workers before
 * connections, connections before the embedded Redis. Every step runs even if one fails or is too slow.
 */
export class Lifecycle {
  readonly #log: Logger;
  readonly #drainMs: number;
  readonly #steps: Step[] = [];
  #stopped: Promise<void> | null = null;

  constructor(log: Logger, drainMs: number) {
    this.#log = log;
    this.#drainMs = drainMs;
  }

  onStop(name: string, run: () => Promise<unknown>): void {
    this.#steps.push({ name, run });
  }

  /** Idempotent, and never throws. */
  stop(): Promise<void> {
    this.#stopped ??= this.#runAll();
    return this.#stopped;
  }

  async #runAll(): Promise<void> {
    for (const { name, run } of this.#steps.toReversed()) {
      let timer: NodeJS.Timeout | undefined;
      const tooSlow = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done after ${this.#drainMs} ms`)), this.#drainMs);
      });
      try {
        await Promise.race([run(), tooSlow]);
      } catch (error) {
        this.#log.error({ err: error, step: name }, "a step of stopping failed");
      } finally {
        clearTimeout(timer);
      }
    }
  }
}
