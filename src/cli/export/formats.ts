import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { Writable } from "node:stream";
import { stringify } from "csv-stringify/sync";
import { type ColumnSource, fileWriter, ParquetWriter, type SchemaElement } from "hyparquet-writer";
import type { Counter } from "../../core/counter.ts";
import type { ExportRow } from "./rows.ts";

export const FORMATS = ["csv", "ndjson", "parquet"] as const;
export type Format = (typeof FORMATS)[number];

/** Takes the rows of an export in order. */
export interface RowSink {
  write(rows: readonly ExportRow[]): Promise<void>;
  close(): Promise<void>;
}

/** One column of an export: how it is named and typed, and its value in a row. */
interface Column {
  readonly name: string;
  readonly type: "text" | "flag" | "time" | "whole" | "number";
  readonly of: (row: ExportRow) => unknown;
}

/** A column for each `by` field, then the bucket and its numbers. */
function columnsOf(counter: Counter): Column[] {
  const fields = counter.definition.by;
  return [
    ...fields.map((name, i): Column => ({ name, type: "text", of: ({ key }) => key?.[i] ?? null })),
    ...(fields.length > 0
      ? [{ name: "other", type: "flag", of: ({ key }) => key === null } as const satisfies Column]
      : []),
    { name: "start", type: "time", of: ({ start }) => start },
    { name: "count", type: "whole", of: ({ count }) => count },
    ...(counter.sum ? [{ name: "sum", type: "number", of: ({ sum }) => sum } as const satisfies Column] : []),
    ...(counter.unique
      ? [{ name: "unique", type: "whole", of: ({ unique }) => unique } as const satisfies Column]
      : []),
    { name: "final", type: "flag", of: ({ final }) => final },
  ];
}

/** @param file `null`: to the stream, which only the text formats can */
export function openSink(format: Format, counter: Counter, file: string | null, stdout: Writable): RowSink {
  const columns = columnsOf(counter);
  if (format === "parquet") return parquetSink(columns, file as string);
  const output = file === null ? stdout : createWriteStream(file);
  const text = format === "csv" ? csvText(columns) : ndjsonText(columns);
  return textSink(output, file !== null, text);
}

function csvText(columns: readonly Column[]): (rows: readonly ExportRow[], isFirst: boolean) => string {
  const names = columns.map(({ name }) => name);
  return (rows, isFirst) =>
    stringify(
      rows.map((row) => columns.map(({ of }) => of(row))),
      { header: isFirst, columns: names, cast: { boolean: String } },
    );
}

function ndjsonText(columns: readonly Column[]): (rows: readonly ExportRow[]) => string {
  return (rows) =>
    rows
      .map((row) => `${JSON.stringify(Object.fromEntries(columns.map(({ name, of }) => [name, of(row)])))}\n`)
      .join("");
}

function textSink(
  output: Writable,
  ends: boolean,
  textOf: (rows: readonly ExportRow[], isFirst: boolean) => string,
): RowSink {
  let isFirst = true;
  // Errors come as events, between writes too.
  const failed = new Promise<never>((_, reject) => output.once("error", reject));
  failed.catch(() => undefined);
  const write = async (rows: readonly ExportRow[]) => {
    const text = textOf(rows, isFirst);
    isFirst = false;
    if (!output.write(text)) await Promise.race([once(output, "drain"), failed]);
  };
  return {
    write,
    close: async () => {
      if (isFirst) await write([]);
      if (!ends) return;
      output.end();
      await Promise.race([once(output, "finish"), failed]);
    },
  };
}

const PARQUET: Record<Column["type"], Omit<SchemaElement, "name">> = {
  text: { type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
  flag: { type: "BOOLEAN", repetition_type: "REQUIRED" },
  time: { type: "INT64", converted_type: "TIMESTAMP_MILLIS", repetition_type: "REQUIRED" },
  whole: { type: "INT64", repetition_type: "REQUIRED" },
  number: { type: "DOUBLE", repetition_type: "REQUIRED" },
};

const PARQUET_VALUE: Record<Column["type"], (value: unknown) => unknown> = {
  text: (value) => value,
  flag: (value) => value,
  time: (value) => new Date(value as string),
  whole: (value) => BigInt(value as number | string),
  number: Number,
};

/** Rows of one group, which lie in memory until they are written. */
const ROW_GROUP = 100_000;

function parquetSink(columns: readonly Column[], file: string): RowSink {
  const root: SchemaElement = { name: "root", num_children: columns.length };
  const schema = [root, ...columns.map(({ name, type }) => ({ name, ...PARQUET[type] }))];
  const writer = new ParquetWriter({ writer: fileWriter(file), schema });
  let waiting: ExportRow[] = [];
  const flush = async () => {
    const columnData = columns.map(({ name, type, of }): ColumnSource => {
      return { name, data: waiting.map((row) => PARQUET_VALUE[type](of(row))) };
    });
    waiting = [];
    await writer.write({ columnData, rowGroupSize: ROW_GROUP });
  };
  return {
    write: async (rows) => {
      waiting.push(...rows);
      if (waiting.length >= ROW_GROUP) await flush();
    },
    close: async () => {
      if (waiting.length > 0) await flush();
      await writer.finish();
    },
  };
}
