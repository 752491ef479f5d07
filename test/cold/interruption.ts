import type { Database } from "../../src/cold/database.ts";
import type { RedisClient } from "../../src/redis/client.ts";

/**
 * A process's connections on which something else happens before the n-th operation, however long that takes. Not within
 * a transaction, which holds what the others would need.
 */
export class Interruption {
  readonly #before: number;
  readonly #happen: () => Promise<void>;
  #steps = 0;
  #transactions = 0;

  constructor(before: number, happen: () => Promise<void>) {
    this.#before = before;
    this.#happen = happen;
  }

  get happened(): boolean {
    return this.#steps >= this.#before;
  }

  client(real: RedisClient): RedisClient {
    return new Proxy(real, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          await this.#step();
          return value.apply(target, args);
        };
      },
    });
  }

  database(real: Database): Database {
    return {
      query: async (...args: Parameters<Database["query"]>) => {
        await this.#step();
        return real.query(...args);
      },
      transaction: async (run: Parameters<Database["transaction"]>[0]) => {
        await this.#step();
        this.#transactions++;
        return real.transaction(run).finally(() => this.#transactions--);
      },
    } as Partial<Database> as Database;
  }

  async #step(): Promise<void> {
    if (this.#transactions === 0 && ++this.#steps === this.#before) await this.#happen();
  }
}
