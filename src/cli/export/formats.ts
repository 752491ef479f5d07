import type { Counter } from "../../core/counter.ts";
import { columnsOf } from "./columns.ts";
import type { Output } from "./output.ts";
import { parquetSink } from "./parquet.ts";
import type { ExportRow } from "./rows.ts";
import { csvSink, ndjsonSink } from "./text.ts";

export const FORMATS = ["csv", "ndjson", "parquet"] as const;
export type Format = (typeof FORMATS)[number];

/** Takes the rows of an export in order. */
export interface RowSink {
  start(): Promise<void>;
  write(rows: readonly ExportRow[]): Promise<void>;
  end(): Promise<void>;
}

const SINKS = { csv: csvSink, ndjson: ndjsonSink, parquet: parquetSink };

export function openSink(format: Format, counter: Counter, output: Output): RowSink {
  return SINKS[format](columnsOf(counter), output);
}
