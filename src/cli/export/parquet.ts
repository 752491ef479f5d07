import { ByteWriter, type ColumnSource, ParquetWriter, type SchemaElement } from "hyparquet-writer";
import type { Column } from "./columns.ts";
import type { RowSink } from "./formats.ts";
import type { Output } from "./output.ts";
import type { ExportRow } from "./rows.ts";

/** A row group lies in memory until it is written, so it ends at so many rows or at so much text of keys. */
const GROUP_ROWS = 100_000;
const GROUP_CHARACTERS = 16 * 1024 * 1024;

/** Sums are doubles, which every reader takes; beyond 2^53 millionths the text formats are exact, and this is not. */
const TYPES: Record<Column["type"], Omit<SchemaElement, "name">> = {
  text: { type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" },
  flag: { type: "BOOLEAN", repetition_type: "REQUIRED" },
  time: { type: "INT64", converted_type: "TIMESTAMP_MILLIS", repetition_type: "REQUIRED" },
  whole: { type: "INT64", repetition_type: "REQUIRED" },
  number: { type: "DOUBLE", repetition_type: "REQUIRED" },
};

const VALUES: Record<Column["type"], (value: unknown) => unknown> = {
  text: (value) => value,
  flag: (value) => value,
  time: (value) => new Date(value as string),
  whole: (value) => BigInt(value as number | string),
  number: Number,
};

/** Parquet, one row group after another; a file that was cut off has no footer, so no reader takes it for a whole one. */
export function parquetSink(columns: readonly Column[], output: Output): RowSink {
  const bytes = new ByteWriter();
  const root: SchemaElement = { name: "root", num_children: columns.length };
  const schema = [root, ...columns.map(({ name, type }) => ({ name, ...TYPES[type] }))];
  const writer = new ParquetWriter({ writer: bytes, schema });
  let [waiting, characters]: [ExportRow[], number] = [[], 0];

  const passOn = async () => {
    // A copy, which a stream may hold on to while the buffer is filled again.
    await output.write(bytes.getBytes().slice());
    bytes.index = 0;
  };
  const writeGroup = async () => {
    const columnData = columns.map(({ name, type, of }): ColumnSource => {
      return { name, data: waiting.map((row) => VALUES[type](of(row))) };
    });
    const rowGroupSize = waiting.length;
    [waiting, characters] = [[], 0];
    await writer.write({ columnData, rowGroupSize });
    await passOn();
  };
  return {
    start: async () => {},
    write: async (rows) => {
      for (const row of rows) {
        waiting.push(row);
        characters += row.key?.reduce((sum, { length }) => sum + length, 0) ?? 0;
        if (waiting.length === GROUP_ROWS || characters >= GROUP_CHARACTERS) await writeGroup();
      }
    },
    end: async () => {
      if (waiting.length > 0) await writeGroup();
      await writer.finish();
      await passOn();
    },
  };
}
