import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ColdUnavailable, Database } from "../../src/cold/database.ts";
import { findPostgres, startTestPostgres, type TestPostgres } from "../support/postgres.ts";

/** What only a server does: cancel a statement, end sessions, go away and come back, serve several processes. */

/** A busy machine takes its time. */
const POLL = { timeout: 30_000 };

const bin = await findPostgres();

describe.skipIf(!bin)(bin ? "Postgres" : "Postgres: no server is installed", () => {
  let server: TestPostgres;
  let dataDir: string;
  let database: Database;
  beforeAll(async () => {
    server = await startTestPostgres(bin as string);
    dataDir = await mkdtemp(join(tmpdir(), "tallymark-cold-"));
    database = new Database({ url: server.url, dataDir });
  });
  afterAll(async () => {
    await database.close();
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const running = () =>
    database.query("SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'");

  test("a statement that nobody waits for any more is cancelled", async () => {
    const leaving = new AbortController();
    const sleeping = database.query("SELECT pg_sleep(60)", [], { signal: leaving.signal });
    await expect.poll(running, POLL).toHaveLength(1);
    leaving.abort();
    await expect(sleeping).rejects.toMatchObject({ name: "AbortError" });
    await expect.poll(running, POLL).toHaveLength(0);
    expect(database.failure).toBeNull();
  });

  test("readers that leave while others read take nobody's statement along", async () => {
    const reads = Array.from({ length: 200 }, async (_, i) => {
      const leaving = new AbortController();
      if (i % 2 === 0) setTimeout(() => leaving.abort(), i % 9);
      const read = database.query<{ i: number }>(`SELECT ${i} AS i, pg_sleep(0.003)`, [], { signal: leaving.signal });
      return (await read.catch((error) => [{ i: i % 2 === 0 && error.name === "AbortError" ? i : error }]))[0]?.i;
    });
    expect(await Promise.all(reads)).toEqual(reads.map((_, i) => i));
  });

  test("sessions are ended, in a statement and between two: unavailable, and then available again", async () => {
    const ended = database.query("SELECT pg_terminate_backend(pg_backend_pid())");
    await expect(ended).rejects.toBeInstanceOf(ColdUnavailable);
    expect(database.failure).not.toBeNull();
    expect(await database.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
    expect(database.failure).toBeNull();
    const between = database.transaction(async (query) => {
      await query("CREATE TABLE half_done ()");
      await server.endSessions();
      await query("SELECT 1");
    });
    await expect(between).rejects.toBeInstanceOf(ColdUnavailable);
    // A connection that reads lay idle when it was ended, and may not have read so yet: it fails whoever takes it.
    const found = () => database.query("SELECT to_regclass('half_done') AS found");
    await expect.poll(found, POLL).toEqual([{ found: null }]);
  });

  test("the server is killed and started again: unavailable meanwhile, for whoever was connected and whoever was not", async () => {
    const newcomer = new Database({ url: server.url, dataDir });
    const interrupted = database.query("SELECT pg_sleep(60)");
    interrupted.catch(() => {});
    await expect.poll(running, POLL).toHaveLength(1);
    await server.kill();
    await expect(interrupted).rejects.toBeInstanceOf(ColdUnavailable);
    for (const either of [database, newcomer]) {
      await expect(either.query("SELECT 1")).rejects.toBeInstanceOf(ColdUnavailable);
      await expect(either.transaction((query) => query("SELECT 1"))).rejects.toBeInstanceOf(ColdUnavailable);
    }
    await server.start();
    for (const either of [database, newcomer]) {
      expect(await either.query("SELECT count(*) FROM cells")).toEqual([{ count: "0" }]);
      expect(either.failure).toBeNull();
    }
    await newcomer.close();
  });

  test("what only somebody else can set right is unavailable until they have", async () => {
    const early = new Database({ url: server.url.replace(/\w+$/, "later"), dataDir });
    await expect(early.query("SELECT 1")).rejects.toThrow('database "later" does not exist');
    await database.query("CREATE DATABASE later");
    expect(await early.query("SELECT count(*) FROM cells")).toEqual([{ count: "0" }]);
    await early.close();
  });

  test("processes that start together migrate once", async () => {
    await database.query("CREATE DATABASE shared");
    const url = server.url.replace(/\w+$/, "shared");
    const together = Array.from({ length: 6 }, () => new Database({ url, dataDir }));
    const counts = await Promise.all(together.map((one) => one.query("SELECT count(*) FROM cells")));
    expect(counts).toEqual(together.map(() => [{ count: "0" }]));
    await Promise.all(together.map((one) => one.close()));
  });
});
