import type pg from "pg";
import { Problem } from "../core/problem.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded.ts";
import { migrate } from "./migrate.ts";
import { cancel, isStuck, isUnavailable, openPool, withClient } from "./postgres.ts";

/** A read that takes longer is given up, ms; so is a write, whose transactions are bulk. */
const READ_TIMEOUT_MS = 10_000;
const WRITE_TIMEOUT_MS = 60_000;
/** Reads and writes have pools of their own: neither waits for the other's connections. */
const READS_MAX = 8;
const WRITES_MAX = 4;

/** Postgres cannot be asked, or does not answer, just now. */
export class ColdUnavailable extends Problem {
  constructor(cause: unknown) {
    // An error that stands for several addresses of one name has a code and no message.
    const { message, code } = cause as { readonly message?: string; readonly code?: string };
    super("unavailable", `cold storage does not answer: ${message || code}`, {}, cause);
  }
}

export type Query = <R extends object>(text: string, params?: readonly unknown[]) => Promise<R[]>;

export interface DatabaseOptions {
  /** `null`: the embedded one. */
  readonly url: string | null;
  /** Where the embedded one lives. */
  readonly dataDir: string;
}

interface Backend {
  readonly reads: pg.Pool;
  readonly writes: pg.Pool;
  readonly embedded: EmbeddedPostgres | null;
}

/**
 * Cold storage's Postgres: a server, or PGlite, both spoken to by the same client. Opened and migrated on first need.
 * Everything here throws ColdUnavailable when it cannot be reached; the next call tries again.
 */
export class Database {
  readonly #options: DatabaseOptions;
  #backend: Promise<Backend> | null = null;
  /** Ended before another one is opened: two of the embedded one on the same files would ruin them. */
  #ended: Promise<void> = Promise.resolve();
  #failure: unknown = null;

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  /** What went wrong at the last try, `null` when that went well or there was none. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Whether asking opens nothing: a server, or the embedded one once somebody has needed it. */
  get isAtHand(): boolean {
    return this.#options.url !== null || this.#backend !== null;
  }

  /** Reads. When `signal` says that nobody waits any more, the statement is cancelled and the signal's reason thrown. */
  async query<R extends object>(
    text: string,
    params: readonly unknown[] = [],
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<R[]> {
    return this.#attempt(({ reads, writes, embedded }) =>
      withClient(reads, async (client) => {
        signal?.throwIfAborted();
        // The embedded one works on one statement at a time, and could not be told.
        const leave = () => void (embedded ?? cancel(writes, client));
        signal?.addEventListener("abort", leave, { once: true });
        try {
          return (await client.query<R>(text, [...params])).rows;
        } finally {
          signal?.removeEventListener("abort", leave);
          // Even after an answer: the cancellation is on its way, and must not meet the connection's next statement.
          signal?.throwIfAborted();
        }
      }),
    );
  }

  /** Writes, all or nothing. */
  async transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.#attempt(({ writes }) =>
      withClient(writes, async (client) => {
        await client.query("BEGIN");
        const result = await run(async (text, params = []) => (await client.query(text, [...params])).rows);
        await client.query("COMMIT");
        return result;
      }),
    );
  }

  async close(): Promise<void> {
    const backend = this.#backend;
    this.#backend = null;
    if (backend) this.#ended = backend.then(end, () => {});
    await this.#ended;
  }

  async #attempt<T>(run: (backend: Backend) => Promise<T>): Promise<T> {
    try {
      this.#backend ??= this.#open();
      const result = await run(await this.#backend);
      this.#failure = null;
      return result;
    } catch (error) {
      if (!(error instanceof ColdUnavailable || isUnavailable(error))) throw error;
      const unavailable = error instanceof ColdUnavailable ? error : new ColdUnavailable(error);
      this.#failure = unavailable.cause;
      if (isStuck(error)) void this.#abandon();
      throw unavailable;
    }
  }

  /** A server goes on when it can, but a thread that is stuck or has ended never does: the next need starts another. */
  async #abandon(): Promise<void> {
    const { embedded } = (await this.#backend) ?? {};
    if (!embedded) return;
    await Promise.all([embedded.kill(), this.close()]);
  }

  async #open(): Promise<Backend> {
    let backend: Backend | null = null;
    try {
      await this.#ended;
      backend = await this.#connect();
      await migrate(backend.writes);
      return backend;
    } catch (error) {
      if (backend) await end(backend);
      this.#backend = null;
      // Whatever it is, a password or the schema: others can set it right while the service runs.
      throw new ColdUnavailable(error);
    }
  }

  async #connect(): Promise<Backend> {
    const { url, dataDir } = this.#options;
    if (url !== null) {
      const at = { connectionString: url };
      return {
        reads: openPool(at, READS_MAX, READ_TIMEOUT_MS),
        writes: openPool(at, WRITES_MAX, WRITE_TIMEOUT_MS),
        embedded: null,
      };
    }
    const embedded = await startEmbeddedPostgres(dataDir, (error) => {
      this.#failure = error;
      void this.close();
    });
    const at = { host: embedded.host, user: "postgres", database: "postgres" };
    // It is one session: statements of two connections would mix. So one waits for another's turn.
    const pool = openPool({ ...at, connectionTimeoutMillis: READ_TIMEOUT_MS }, 1, WRITE_TIMEOUT_MS);
    return { reads: pool, writes: pool, embedded };
  }
}

async function end({ reads, writes, embedded }: Backend): Promise<void> {
  await Promise.allSettled([...new Set([reads, writes])].map((pool) => pool.end()));
  await embedded?.stop();
}
