import { type CellRow, ColdStore } from "../src/cold/store.ts";
import type { BenchDatabase } from "./cold-databases.ts";
import { median } from "./quantiles.ts";

/** Rows of one transaction, for both. */
const BATCH = 10_000;
const ROUNDS = 5;

export interface WriteFigures {
  readonly rows: number;
  readonly bytesPerRow: number;
  /** Rows per second, medians of the rounds. */
  readonly exported: number;
  readonly copied: number;
  readonly ratio: number;
}

/** The export's statements and plain COPY of the same rows into the same empty table, in turns, so that both meet the same machine. */
export async function measureWrites(on: BenchDatabase, rows: readonly CellRow[]): Promise<WriteFigures> {
  const exported: number[] = [];
  const copied: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    exported.push(
      await on.withDatabase(async (database) => {
        const store = new ColdStore(database);
        // Table partitions are made before time is taken, and the worker has opened its database.
        await store.insertCells(rows);
        await database.transaction((query) => query("TRUNCATE cells"));
        return rateOf(rows, (some) => store.insertCells(some));
      }),
    );
    copied.push(
      await on.withShortcut(async ({ execute, copy }) => {
        await execute("TRUNCATE cells");
        const rate = await rateOf(rows, (some) => copy("cells", some.map(lineOf).join("")));
        await execute("TRUNCATE cells");
        return rate;
      }),
    );
  }
  const bytes = rows.slice(0, BATCH).reduce((sum, row) => sum + Buffer.byteLength(lineOf(row)), 0);
  const [a, b] = [median(exported), median(copied)];
  return { rows: rows.length, bytesPerRow: bytes / Math.min(BATCH, rows.length), exported: a, copied: b, ratio: a / b };
}

async function rateOf(rows: readonly CellRow[], write: (some: CellRow[]) => Promise<unknown>): Promise<number> {
  const started = performance.now();
  for (let at = 0; at < rows.length; at += BATCH) await write(rows.slice(at, at + BATCH));
  return (rows.length * 1_000) / (performance.now() - started);
}

/** One row in COPY's text format, in the order of the table's columns. */
function lineOf({ generation, windowMs, start, owner, partition, correction, count, micro, sketch }: CellRow): string {
  const bytes = (value: Buffer | null) => (value ? `\\\\x${value.toString("hex")}` : "\\N");
  const columns = [generation, windowMs / 1_000, start, bytes(owner), "\\N", partition, correction, count, micro];
  return `${[...columns, bytes(sketch)].join("\t")}\n`;
}
