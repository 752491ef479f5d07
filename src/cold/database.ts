import pg from "pg";
import { Problem } from "../core/problem.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded.ts";
import { migrate } from "./migrate.ts";

/** A read that takes longer is given up, ms; so is a write, whose transactions are bulk. */
const READ_TIMEOUT_MS = 10_000;
const WRITE_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Reads and writes have pools of their own: neither waits for the other's connections. */
const READS_MAX = 8;
const WRITES_MAX = 4;

/** Postgres cannot be asked, or does not answer, just now. */
export class ColdUnavailable extends Problem {
  constructor(cause: unknown) {
    super("unavailable", `cold storage does not answer: ${(cause as Error).message}`, {}, cause);
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
  #failure: unknown = null;

  constructor(options: DatabaseOptions) {
    this.#options = options;
  }

  /** What went wrong at the last try, `null` when that went well or there was none. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Reads. The statement is cancelled when `signal` says that nobody waits for it any more. */
  async query<R extends object>(
    text: string,
    params: readonly unknown[] = [],
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<R[]> {
    return this.#attempt(async ({ reads, writes, embedded }) => {
      const client = await reads.connect();
      let isBroken = false;
      // The embedded one works on one statement at a time, and could not be told.
      const cancel = () =>
        embedded ?? writes.query("SELECT pg_cancel_backend($1)", [processId(client)]).catch(() => {});
      try {
        signal?.throwIfAborted();
        signal?.addEventListener("abort", cancel, { once: true });
        return (await client.query<R>(text, [...params])).rows;
      } catch (error) {
        isBroken = isConnectionError(error);
        throw error;
      } finally {
        signal?.removeEventListener("abort", cancel);
        client.release(isBroken);
      }
    });
  }

  /** Writes, all or nothing. */
  async transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.#attempt(async ({ writes }) => {
      const client = await writes.connect();
      let isBroken = false;
      try {
        await client.query("BEGIN");
        const result = await run(async (text, params = []) => (await client.query(text, [...params])).rows);
        await client.query("COMMIT");
        return result;
      } catch (error) {
        // A connection in an unknown state is not used again; the server rolls back when it goes.
        isBroken = true;
        throw error;
      } finally {
        client.release(isBroken);
      }
    });
  }

  async close(): Promise<void> {
    const backend = await this.#backend?.catch(() => null);
    this.#backend = null;
    if (!backend) return;
    await end(backend);
  }

  async #attempt<T>(run: (backend: Backend) => Promise<T>): Promise<T> {
    try {
      this.#backend ??= this.#open();
      const result = await run(await this.#backend);
      this.#failure = null;
      return result;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      this.#failure = error;
      throw new ColdUnavailable(error);
    }
  }

  async #open(): Promise<Backend> {
    let backend: Backend | null = null;
    try {
      backend = await this.#connect();
      await migrate(backend.writes);
      return backend;
    } catch (error) {
      this.#backend = null;
      if (backend) await end(backend);
      throw error;
    }
  }

  async #connect(): Promise<Backend> {
    const { url, dataDir } = this.#options;
    if (url !== null) {
      const at = { connectionString: url };
      return {
        reads: makePool(at, READS_MAX, READ_TIMEOUT_MS),
        writes: makePool(at, WRITES_MAX, WRITE_TIMEOUT_MS),
        embedded: null,
      };
    }
    const embedded = await startEmbeddedPostgres(dataDir, (error) => {
      this.#failure = error;
      this.#backend = null;
    });
    const at = { host: embedded.host, user: "postgres", database: "postgres" };
    // It is one session: statements of two connections would mix.
    const pool = makePool(at, 1, WRITE_TIMEOUT_MS);
    return { reads: pool, writes: pool, embedded };
  }
}

async function end({ reads, writes, embedded }: Backend): Promise<void> {
  await Promise.allSettled([...new Set([reads, writes])].map((pool) => pool.end()));
  await embedded?.stop();
}

function makePool(at: pg.PoolConfig, max: number, timeoutMs: number): pg.Pool {
  const pool = new pg.Pool({
    ...at,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: timeoutMs,
    // Behind a frozen server the statement's own timeout never comes.
    query_timeout: timeoutMs + CONNECT_TIMEOUT_MS,
    application_name: "tallymark",
    keepAlive: true,
  });
  // An idle connection that breaks is replaced at the next need; without a listener it would end the process.
  pool.on("error", () => {});
  return pool;
}

function processId(client: pg.PoolClient): number | null {
  return (client as pg.PoolClient & { processID?: number }).processID ?? null;
}

/** Classes of SQLSTATE that speak of the server or the connection, and not of the statement. */
const UNAVAILABLE_STATES = /^(08|53|57|58)|^(55P03|40001|40P01)$/;
const CONNECTION_ERRORS =
  /Connection terminated|connection timeout|timeout exceeded|Query read timeout|not queryable|ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN/i;

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && CONNECTION_ERRORS.test(`${(error as NodeJS.ErrnoException).code} ${error.message}`);
}

function isUnavailable(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return isConnectionError(error) || (typeof code === "string" && code.length === 5 && UNAVAILABLE_STATES.test(code));
}
