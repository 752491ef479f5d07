import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { PGlite } from "@electric-sql/pglite";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { Database } from "../src/cold/database.ts";
import { findPostgres, startTestPostgres } from "../test/support/postgres.ts";

/** A database of the benchmark's own, with the product's tables. */
export interface BenchDatabase {
  readonly name: string;
  /** For `DATABASE_URL`; `null`: the embedded one. */
  readonly url: string | null;
  /** Lends it as the product opens it. The embedded one is one session, so nobody else may use it meanwhile. */
  withDatabase<T>(run: (database: Database) => Promise<T>): Promise<T>;
  /** Lends the shortest way to it, past the product. */
  withShortcut<T>(run: (shortcut: Shortcut) => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

export interface Shortcut {
  execute(statement: string): Promise<unknown>;
  /** Runs `COPY … FROM` with text. */
  copy(into: string, text: string): Promise<unknown>;
}

/** A Postgres server, where Debian's packages are installed. */
export async function startServer(): Promise<BenchDatabase> {
  const bin = await findPostgres();
  if (!bin) throw new Error("no Postgres server is installed");
  const { url, stop } = await startTestPostgres(bin);
  return {
    name: "Postgres",
    url,
    withDatabase: (run) => withOpened({ url, dataDir: "" }, run),
    withShortcut: (run) => withClient(url, run),
    stop,
  };
}

export async function startEmbedded(): Promise<BenchDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), "tallymark-bench-cold-"));
  return {
    name: "PGlite",
    url: null,
    withDatabase: (run) => withOpened({ url: null, dataDir }, run),
    withShortcut: (run) => withPGlite(join(dataDir, "postgres"), run),
    stop: () => rm(dataDir, { recursive: true, force: true }),
  };
}

async function withOpened<T>(
  options: ConstructorParameters<typeof Database>[0],
  run: (database: Database) => Promise<T>,
) {
  const database = new Database(options);
  try {
    return await run(database);
  } finally {
    await database.close();
  }
}

async function withClient<T>(url: string, run: (shortcut: Shortcut) => Promise<T>): Promise<T> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return await run({
      execute: (statement) => client.query(statement),
      copy: (into, text) => pipeline(Readable.from([text]), client.query(copyFrom(`COPY ${into} FROM STDIN`))),
    });
  } finally {
    await client.end();
  }
}

/** Its socket cannot do COPY, whose messages it takes for statements; within one process PGlite reads a file instead. */
async function withPGlite<T>(directory: string, run: (shortcut: Shortcut) => Promise<T>): Promise<T> {
  const db = await PGlite.create(directory);
  try {
    return await run({
      execute: (statement) => db.exec(statement),
      copy: (into, text) => db.query(`COPY ${into} FROM '/dev/blob'`, [], { blob: new Blob([text]) }),
    });
  } finally {
    await db.close();
  }
}
