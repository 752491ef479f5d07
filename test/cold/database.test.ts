import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeOnDatabases } from "../support/databases.ts";
import { type OpenedDatabase, openDatabase } from "./open.ts";

describeOnDatabases((start) => {
  let opened: OpenedDatabase;
  beforeAll(async () => {
    opened = await openDatabase(start);
  });
  afterAll(() => opened.close());

  test("nothing is opened before it is needed", async () => {
    expect(existsSync(join(opened.dataDir, "postgres"))).toBe(false);
    // Making the embedded one takes seconds, on a busy machine many.
    expect(await opened.database.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
  }, 120_000);

  test("bytes and numbers come back to the last digit", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const [count, micro] = ["9223372036854775807", `-${"9".repeat(40)}`];
    const rows = await opened.database.query("SELECT $1::bytea AS bytes, $2::bigint AS count, $3::numeric AS micro", [
      bytes,
      count,
      BigInt(micro),
    ]);
    expect(rows).toEqual([{ bytes, count, micro }]);
  });

  test("20,000 rows and 4 MB at once, there and back", async () => {
    const numbers = Array.from({ length: 20_000 }, (_, i) => i);
    const sketches = numbers.map((i) => Buffer.alloc(200, i));
    const text = "SELECT * FROM unnest($1::bigint[], $2::bytea[]) AS given (number, sketch)";
    const rows = await opened.database.query<{ number: string; sketch: Buffer }>(text, [numbers, sketches]);
    expect(rows.map(({ number }) => Number(number))).toEqual(numbers);
    expect(Buffer.concat(rows.map(({ sketch }) => sketch)).equals(Buffer.concat(sketches))).toBe(true);
  });

  test("a transaction that fails leaves nothing behind, and the next ones work", async () => {
    const { database } = opened;
    await database.transaction((query) => query("CREATE TABLE kept (n int)"));
    const failing = database.transaction(async (query) => {
      await query("INSERT INTO kept VALUES (1)");
      await query("SELECT 1 / 0");
    });
    // What is wrong with a statement is no failure of the database.
    await expect(failing).rejects.toMatchObject({ code: "22012" });
    expect(database.failure).toBeNull();
    await expect(
      database.transaction(async (query) => {
        await query("INSERT INTO kept VALUES (2)");
        throw new Error("changed its mind");
      }),
    ).rejects.toThrow("changed its mind");
    await database.transaction((query) => query("INSERT INTO kept VALUES (3)"));
    expect(await database.query("SELECT n FROM kept")).toEqual([{ n: 3 }]);
  });

  test("more requests than connections, reads and writes mixed", async () => {
    const { database } = opened;
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        i % 3 === 0
          ? database.transaction((query) => query(`SELECT ${i} AS i`))
          : database.query("SELECT $1::int AS i", [i]),
      ),
    );
    expect(answers).toEqual(Array.from({ length: 60 }, (_, i) => [{ i }]));
  });

  test("who has left before the query began gets no answer and hurts nobody", async () => {
    const { database } = opened;
    const left = database.query("SELECT 1", [], { signal: AbortSignal.abort() });
    await expect(left).rejects.toMatchObject({ name: "AbortError" });
    expect(await database.query("SELECT 2 AS two")).toEqual([{ two: 2 }]);
    expect(database.failure).toBeNull();
  });
});
