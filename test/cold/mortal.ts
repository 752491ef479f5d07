import type { Database } from "../../src/cold/database.ts";
import type { RedisClient } from "../../src/redis/client.ts";

/** The process is dead: nothing it does any more reaches anybody. */
export class Killed extends Error {
  override readonly name = "Killed";
}

/**
 * A process's connections that die at a chosen operation: `before` it is sent, or `after` it was carried out and before
 * the reply came. From then on everything fails, as for a process that was killed.
 */
export class Mortal {
  readonly #dieAt: number;
  readonly #when: "before" | "after";
  #steps = 0;

  constructor(dieAt: number, when: "before" | "after") {
    this.#dieAt = dieAt;
    this.#when = when;
  }

  client(real: RedisClient): RedisClient {
    return new Proxy(real, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        if (name === "pipeline") {
          return (commands: unknown[][]) => ({ exec: () => this.#step(() => target.pipeline(commands).exec()) });
        }
        return (...args: unknown[]) => this.#step(() => value.apply(target, args));
      },
    });
  }

  database(real: Database): Database {
    return {
      failure: null,
      query: (text: string, params?: readonly unknown[]) => this.#step(() => real.query(text, params)),
      // The step after the last statement is the COMMIT.
      transaction: (run: Parameters<Database["transaction"]>[0]) =>
        this.#step(() => real.transaction((query) => run((text, params) => this.#step(() => query(text, params))))),
      close: () => real.close(),
    } as unknown as Database;
  }

  async #step<T>(run: () => Promise<T>): Promise<T> {
    const step = ++this.#steps;
    if (step > this.#dieAt || (step === this.#dieAt && this.#when === "before")) throw new Killed();
    const result = await run();
    if (step === this.#dieAt || this.#steps > this.#dieAt) throw new Killed();
    return result;
  }
}
