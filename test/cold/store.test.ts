import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ColdUnavailable, Database } from "../../src/cold/database.ts";
import { type CellRow, ColdStore } from "../../src/cold/store.ts";
import { listStretches, tableOf } from "../../src/cold/stretches.ts";
import { describeOnDatabases } from "../support/databases.ts";
import { type OpenedDatabase, openDatabase } from "./open.ts";

const [MINUTE, DAY] = [60_000, 86_400_000];

function makeRow(partial: Partial<CellRow>): CellRow {
  const owner = Buffer.from("t");
  const rest = { partition: 0, correction: 0, count: 1n, micro: 0n, sketch: null };
  return { generation: 1, windowMs: MINUTE, start: 0, owner, ...rest, ...partial };
}

describeOnDatabases((start) => {
  let opened: OpenedDatabase;
  let database: Database;
  let store: ColdStore;
  beforeAll(async () => {
    opened = await openDatabase(start);
    database = opened.database;
  });
  beforeEach(async () => {
    await database.query("DROP TABLE IF EXISTS cells_60_0, cells_60_1, cells_60_2, cells_3600_0, cells_86400_0");
    store = new ColdStore(database);
  });
  afterAll(() => opened.close());

  const tables = async () => (await database.transaction(listStretches)).map(tableOf).sort();
  const starts = async (condition: string) =>
    (await database.query<{ bucket: string }>(`SELECT bucket FROM cells WHERE ${condition} ORDER BY bucket`)).map(
      ({ bucket }) => Number(bucket),
    );

  test("rows that are there already are left alone, and told when they differ", async () => {
    const long = Buffer.from(`k${"long".repeat(1_000)}`);
    const rows = [
      makeRow({ count: 2n ** 63n - 1n, micro: -(10n ** 30n), sketch: Buffer.from([0, 255, 92]) }),
      makeRow({ owner: long }),
      makeRow({ owner: Buffer.concat([long, Buffer.from("er")]) }),
      makeRow({ owner: Buffer.from("k\\x00'\0") }),
      makeRow({ partition: 1 }),
      makeRow({ correction: 1 }),
    ];
    expect(await store.insertCells(rows)).toEqual({ inserted: 6, differing: [] });
    expect(await store.insertCells(rows)).toEqual({ inserted: 0, differing: [] });
    const changed = [
      { ...rows[0]!, sketch: Buffer.from([0, 255, 93]) },
      { ...rows[1]!, count: 2n },
      { ...rows[2]!, micro: 1n },
      { ...rows[3]!, sketch: Buffer.alloc(0) },
    ];
    const again = await store.insertCells([...changed, rows[4]!, makeRow({ partition: 2 })]);
    expect(again.inserted).toBe(1);
    expect(new Set(again.differing)).toEqual(new Set(changed));
    expect(await store.insertCells(rows)).toEqual({ inserted: 0, differing: [] });
  });

  test("more rows than one statement takes: all or nothing", async () => {
    const rows = Array.from({ length: 12_000 }, (_, i) => makeRow({ owner: Buffer.from(`k${i}`), count: BigInt(i) }));
    // The last in the order in which they are written.
    const faulty = makeRow({ owner: Buffer.from("z"), count: 2n ** 63n });
    await expect(store.insertCells([faulty, ...rows])).rejects.toMatchObject({ code: "22003" });
    expect(await starts("true")).toEqual([]);
    expect(await store.insertCells(rows)).toEqual({ inserted: 12_000, differing: [] });
    const changed = rows.map((row, i) => (i % 2_000 === 0 ? { ...row, count: 7n } : row));
    expect((await store.insertCells(changed)).differing).toHaveLength(6);
  });

  test("several processes write the same rows and make the same tables at once", async () => {
    const others = Array.from({ length: 4 }, () =>
      opened.url === null ? database : new Database({ url: opened.url, dataDir: opened.dataDir }),
    );
    const rows = Array.from({ length: 900 }, (_, i) =>
      makeRow({ start: (i % 3) * DAY, owner: Buffer.from(`k${i}`), windowMs: i % 9 === 0 ? 60 * MINUTE : MINUTE }),
    );
    const shifted = others.map((_, i) => [...rows.slice(i * 200), ...rows.slice(0, i * 200)]);
    const written = await Promise.all(shifted.map((some, i) => new ColdStore(others[i]!).insertCells(some)));
    expect(written.reduce((sum, { inserted }) => sum + inserted, 0)).toBe(900);
    expect(written.flatMap(({ differing }) => differing)).toEqual([]);
    expect(await tables()).toEqual(["cells_3600_0", "cells_60_0", "cells_60_1", "cells_60_2"]);
    if (opened.url !== null) await Promise.all(others.map((other) => other.close()));
  });

  test("buckets of a counter's window that begin before a time go, whole tables where nothing else is in them", async () => {
    const days = [0, 1, 2].map((day) => day * DAY);
    await store.insertCells([
      ...days.flatMap((start) => [makeRow({ start }), makeRow({ start: start + 5 * MINUTE })]),
      makeRow({ start: DAY, generation: 2 }),
      makeRow({ windowMs: 60 * MINUTE }),
    ]);
    await store.dropBefore(1, MINUTE, 2 * DAY + 5 * MINUTE);
    await store.dropBefore(1, MINUTE, 2 * DAY + 5 * MINUTE);
    expect(await tables()).toEqual(["cells_3600_0", "cells_60_1", "cells_60_2"]);
    expect(await starts("generation = 1 AND window_s = 60")).toEqual([2 * DAY + 5 * MINUTE]);
    expect(await starts("generation = 2")).toEqual([DAY]);
    expect(await starts("window_s = 3600")).toEqual([0]);
    // A table that was dropped is made again when somebody writes there after all.
    expect(await store.insertCells([makeRow({})])).toEqual({ inserted: 1, differing: [] });
  });

  test("all rows of a deleted counter go, and no others", async () => {
    const owners = Array.from({ length: 11_000 }, (_, i) => Buffer.from(`k${i}`));
    await store.insertCells(owners.map((owner) => makeRow({ owner, generation: 3 })));
    await store.insertCells([
      makeRow({ generation: 2 }),
      makeRow({ generation: 3, start: DAY }),
      makeRow({ generation: 3, windowMs: DAY }),
      makeRow({ generation: 4, windowMs: 60 * MINUTE }),
    ]);
    await Promise.all([store.deleteGeneration(3), new ColdStore(database).deleteGeneration(3)]);
    expect(await tables()).toEqual(["cells_3600_0", "cells_60_0"]);
    expect(await database.query("SELECT generation FROM cells ORDER BY 1")).toEqual([
      { generation: 2 },
      { generation: 4 },
    ]);
  });

  test("a table that somebody else has dropped is made again", async () => {
    await store.insertCells([makeRow({})]);
    await new ColdStore(database).deleteGeneration(1);
    expect(await store.insertCells([makeRow({})])).toEqual({ inserted: 1, differing: [] });
  });

  describe("a reader is at work", () => {
    test("tables are made beside it, and dropped once it has ended", async ({ skip }) => {
      // The embedded one has a single session.
      if (opened.url === null) return skip();
      await store.insertCells([makeRow({})]);
      await database.transaction(async (query) => {
        await query("SELECT * FROM cells");
        expect(await store.insertCells([makeRow({ start: DAY })])).toEqual({ inserted: 1, differing: [] });
        await expect(store.deleteGeneration(1)).rejects.toBeInstanceOf(ColdUnavailable);
      });
      await store.deleteGeneration(1);
      expect(await tables()).toEqual([]);
    });
  });
});
