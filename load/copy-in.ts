import type pg from "pg";
import type { CellRow } from "../src/cold/store.ts";

/** The parts of node-postgres's connection that COPY needs, and its types leave out. */
interface CopyConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** Plain COPY of rows into `cells`: as fast as Postgres takes them, and it fails on the first that is there already. */
export function copyRows(client: pg.Client, rows: readonly CellRow[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | null = null;
    client.query({
      submit: (connection: CopyConnection) => connection.query("COPY cells FROM STDIN"),
      handleCopyInResponse: (connection: CopyConnection) => {
        connection.sendCopyFromChunk(Buffer.from(rows.map(lineOf).join("")));
        connection.endCopyFrom();
      },
      handleCommandComplete: () => {},
      handleError: (error: Error) => {
        failure = error;
        // As node-postgres does for its own queries: the error ends them.
        reject(error);
      },
      handleReadyForQuery: () => failure ?? resolve(),
    } as unknown as pg.Submittable);
  });
}

/** One row in COPY's text format, in the order of the table's columns. */
function lineOf({ generation, windowMs, start, owner, partition, correction, count, micro, sketch }: CellRow): string {
  const bytes = (value: Buffer | null) => (value ? `\\\\x${value.toString("hex")}` : "\\N");
  const columns = [generation, windowMs / 1_000, start, bytes(owner), "\\N", partition, correction, count, micro];
  return `${[...columns, bytes(sketch)].join("\t")}\n`;
}
