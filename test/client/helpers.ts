import { onTestFinished } from "vitest";
import { type Drop, Tallymark, type TallymarkOptions } from "../../src/client/index.ts";

export interface TestClient {
  readonly client: Tallymark;
  readonly drops: Drop[];
}

/** A client that is closed when its test ends, and what it dropped. */
export function openClient(options: TallymarkOptions): TestClient {
  const drops: Drop[] = [];
  const client = new Tallymark({
    // Longer than a slow machine may pause between two events that a test means to go together.
    batchDelayMs: 100,
    ...options,
    onDrop: (drop) => {
      drops.push(drop);
      options.onDrop?.(drop);
    },
  });
  onTestFinished(() => client.close({ timeoutMs: 0 }));
  return { client, drops };
}

/** Resolves with the first of the values told of that meets the condition. */
export class Told<T> {
  readonly values: T[] = [];
  readonly #waiters = new Set<() => void>();

  readonly tell = (value: T): void => {
    this.values.push(value);
    for (const waiter of [...this.#waiters]) waiter();
  };

  async until(condition: (value: T) => boolean, from = 0): Promise<T> {
    for (;;) {
      const found = this.values.slice(from).find(condition);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const waiter = () => {
          this.#waiters.delete(waiter);
          resolve();
        };
        this.#waiters.add(waiter);
      });
    }
  }
}
