import { Database } from "../../src/cold/database.ts";
import { ColdStore } from "../../src/cold/store.ts";

/** Writes batch after batch, each a generation of its own, and prints its number once it is committed. Ends when killed. */

const [dataDir = "", committed] = process.argv.slice(2);
const store = new ColdStore(new Database({ url: null, dataDir }));
for (let generation = Number(committed) + 1; ; generation++) {
  const rows = Array.from({ length: 3_000 }, (_, i) => ({
    generation,
    windowMs: 60_000,
    start: (i % 100) * 60_000,
    owner: Buffer.from(`k${i}`),
    partition: 0,
    correction: 0,
    count: 1n,
    micro: 0n,
    sketch: null,
  }));
  await store.insertCells(rows);
  process.stdout.write(`${generation}\n`);
}
