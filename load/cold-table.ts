import { type Stretch, Stretches, stretchOf, tableOf } from "../src/cold/stretches.ts";
import type { BenchDatabase } from "./cold-databases.ts";
import { KEYS, MINUTE, ownerOf } from "./cold-rows.ts";

/** The first bucket: a day's first minute, long ago. */
export const FIRST = Date.parse("2015-09-12T00:00:00Z");
/** Of the first counter of a service. */
export const GENERATION = 1;
/** Minutes filled by one statement, which ends before its time limit. */
const MINUTES_AT_ONCE = 200;

/** What the table holds for a key and minute. */
export const countAt = (minute: number): number => 1 + (minute % 1_000);

/** Fills a table with a row for every key and minute, in the order in which buckets are exported; answers how many minutes. */
export async function fillTable(on: BenchDatabase, rows: number): Promise<number> {
  const minutes = Math.ceil(rows / KEYS);
  const tables = new Map<string, Stretch>();
  for (let minute = 0; minute < minutes; minute++) {
    const stretch = stretchOf(MINUTE, FIRST + minute * MINUTE);
    tables.set(tableOf(stretch), stretch);
  }
  await on.withDatabase(async (database) => {
    await new Stretches(database).ensure([...tables.values()]);
    for (let from = 0; from < minutes; from += MINUTES_AT_ONCE) {
      const statement = fillStatement(from, Math.min(minutes, from + MINUTES_AT_ONCE));
      await database.transaction((query) => query(statement));
    }
  });
  return minutes;
}

function fillStatement(from: number, to: number): string {
  const owner = ownerOf(0).slice(0, -1);
  return `INSERT INTO cells
    SELECT ${GENERATION}, ${MINUTE / 1_000}, ${FIRST} + minute * ${MINUTE}::bigint, ('${owner}' || key)::bytea, NULL, 0, 0,
      1 + minute % 1000, (1 + minute % 1000) * 1250000::bigint
    FROM generate_series(${from}, ${to - 1}) AS minute, generate_series(0, ${KEYS - 1}) AS key`;
}
