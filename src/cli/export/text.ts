import { stringify } from "csv-stringify/sync";
import type { Column } from "./columns.ts";
import type { RowSink } from "./formats.ts";
import type { Output } from "./output.ts";
import type { ExportRow } from "./rows.ts";

/** RFC 4180, but lines end in LF. What is absent is empty, and the empty text is `""`, for readers who tell them apart. */
export function csvSink(columns: readonly Column[], output: Output): RowSink {
  const textOf = (rows: readonly ExportRow[], header: boolean) =>
    stringify(
      rows.map((row) => columns.map(({ of }) => of(row))),
      { header, columns: columns.map(({ name }) => name), quoted_empty: true, cast: { boolean: String } },
    );
  return {
    start: () => output.write(textOf([], true)),
    write: (rows) => output.write(textOf(rows, false)),
    end: async () => {},
  };
}

export function ndjsonSink(columns: readonly Column[], output: Output): RowSink {
  const lineOf = (row: ExportRow) =>
    `${JSON.stringify(Object.fromEntries(columns.map(({ name, of }) => [name, of(row)])))}\n`;
  return {
    start: async () => {},
    write: (rows) => output.write(rows.map(lineOf).join("")),
    end: async () => {},
  };
}
