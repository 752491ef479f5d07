import pg from "pg";

const CONNECT_TIMEOUT_MS = 5_000;
/** Nobody holds a lock for long; who waits longer gives up and comes again, so that nothing piles up behind it. */
const LOCK_TIMEOUT_MS = 5_000;

/** Connections to Postgres; a statement that takes longer than `timeoutMs` is given up. */
export function openPool(at: pg.PoolConfig, max: number, timeoutMs: number): pg.Pool {
  const pool = new pg.Pool({
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ...at,
    statement_timeout: timeoutMs,
    lock_timeout: LOCK_TIMEOUT_MS,
    // Behind a frozen server the statement's own timeout never comes.
    query_timeout: timeoutMs + CONNECT_TIMEOUT_MS,
    application_name: "tallymark",
    keepAlive: true,
  });
  // A connection that breaks says so to whoever asks something of it, and is replaced. It also raises an event, in use or
  // not, which without a listener would end the process.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  return pool;
}

/** Lends a connection of the pool. After an error its state is unknown, and another one takes its place. */
export async function withClient<T>(pool: pg.Pool, run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let isGood = false;
  try {
    const result = await run(client);
    isGood = true;
    return result;
  } finally {
    client.release(!isGood);
  }
}

/** Cancels on the server whatever the client is at; where that fails, the statement's time limit ends it. */
export async function cancel(pool: pg.Pool, client: pg.PoolClient): Promise<void> {
  const { processID } = client as pg.PoolClient & { readonly processID?: number };
  await pool.query("SELECT pg_cancel_backend($1)", [processID]).catch(() => {});
}

/** SQLSTATEs that speak of the server, the connection or other sessions, and not of the statement. */
const UNAVAILABLE_STATES = /^(08|28|3D|53|57|58)|^(55P03|40001|40P01)$/;
const CONNECTION_ERRORS =
  /Connection terminated|connection timeout|timeout exceeded|Query read timeout|not queryable|Cannot use a pool|ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN/i;

/** Whether Postgres cannot be asked, or does not answer, just now. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return UNAVAILABLE_STATES.test(error.code ?? "");
  return error instanceof Error && CONNECTION_ERRORS.test(`${(error as NodeJS.ErrnoException).code} ${error.message}`);
}

/** Whether it did not answer in the time that even its own time limit leaves: it is stuck. */
export function isStuck(error: unknown): boolean {
  return error instanceof Error && error.message === "Query read timeout";
}
