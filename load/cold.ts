import { parseArgs } from "node:util";
import { type BenchDatabase, startEmbedded, startServer } from "./cold-databases.ts";
import { measureRequests, measureStatement } from "./cold-reads.ts";
import { type ColdFigures, printColdFigures } from "./cold-report.ts";
import { makeRows, makeSketches } from "./cold-rows.ts";
import { fillTable } from "./cold-table.ts";
import { measureWrites } from "./cold-writes.ts";
import type { Quantiles } from "./quantiles.ts";

/** How to run this and read what it prints: README.md beside it. */

/** Rows written to Postgres in a round; sketches are many times as large. PGlite gets fewer. */
const WRITTEN = { plain: 100_000, sketches: 20_000 };
const WRITTEN_EMBEDDED = { plain: 50_000, sketches: 5_000 };

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { rows: text, "embedded-rows": text, reads: text } });
const tableRows = whole("rows", 10_000_000, 1_000_000);
const embeddedRows = whole("embedded-rows", 1_000_000, 1_000_000);
const reads = whole("reads", 1_000, 1);

/** @param least a series of 1,000 buckets needs that many rows of the table */
function whole(name: keyof typeof values, fallback: number, least: number): number {
  const value = Number(values[name] ?? fallback);
  if (!Number.isInteger(value) || value < least) throw new Error(`--${name}: must be a whole number from ${least}`);
  return value;
}

const say = (line: string) => process.stderr.write(`${line} …\n`);

async function measureBoth(sketches: readonly Buffer[]): Promise<ColdFigures> {
  const figures = { writes: [], reads: [] } as { [Part in keyof ColdFigures]: ColdFigures[Part][number][] };
  const sides = [
    { start: startServer, written: WRITTEN, rows: tableRows },
    { start: startEmbedded, written: WRITTEN_EMBEDDED, rows: embeddedRows },
  ];
  for (const { start, written, rows } of sides) {
    const on = await start();
    try {
      say(`${on.name}: rows written`);
      const name = on.name;
      const plain = await measureWrites(on, makeRows(written.plain, null));
      figures.writes.push({ on: name, what: "no sketches", ...plain });
      const sketched = await measureWrites(on, makeRows(written.sketches, sketches));
      figures.writes.push({ on: name, what: "with sketches", ...sketched });
      for (const [what, times] of await measureReads(on, rows)) {
        figures.reads.push({ on: name, what, tableRows: rows, ...times });
      }
    } finally {
      await on.stop();
    }
  }
  return figures;
}

async function measureReads(on: BenchDatabase, rows: number): Promise<[string, Quantiles][]> {
  say(`${on.name}: filling a table with ${rows} rows`);
  const minutes = await fillTable(on, rows);
  // Autovacuum does that to a server's tables, and nobody to those of PGlite.
  if (on.url !== null) await on.withShortcut(({ execute }) => execute("VACUUM ANALYZE cells"));
  say(`${on.name}: ${reads} series`);
  const statement = await measureStatement(on, minutes, reads);
  // A service would open an embedded database of its own, not this one.
  if (on.url === null) return [["statement", statement]];
  return [
    ["statement", statement],
    ["GET series", await measureRequests(on, minutes, reads)],
  ];
}

printColdFigures(await measureBoth(await makeSketches()));
