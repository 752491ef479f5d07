import { fileURLToPath } from "node:url";
import { runner } from "node-pg-migrate";
import type pg from "pg";

const DIRECTORY = fileURLToPath(new URL("../../migrations", import.meta.url));
/** Any number that nobody else's advisory lock uses. */
const LOCK = 7_240_051;

/** Brings the schema up to date. Processes that start together wait for each other. */
export async function migrate(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  let isBroken = true;
  try {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
    await runner({
      dbClient: client,
      dir: DIRECTORY,
      direction: "up",
      migrationsTable: "tallymark_migrations",
      // Its own lock fails where this one waits.
      noLock: true,
      log: () => {},
    });
    await client.query("SELECT pg_advisory_unlock($1)", [LOCK]);
    isBroken = false;
  } finally {
    client.release(isBroken);
  }
}
