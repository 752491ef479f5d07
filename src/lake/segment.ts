import { setImmediate as nextTurn } from "node:timers/promises";
import { compress, decompress, init } from "@bokuweb/zstd-wasm";
import { parquetReadObjects } from "hyparquet";
import { ByteWriter, type ColumnSource, ParquetWriter, type SchemaElement } from "hyparquet-writer";
import type { LakeRow } from "./rows.ts";

/**
 * A segment is a Parquet file, see docs/lake.md for its columns. Pages are compressed with zstd: Node has it from 22.15
 * on, so it comes as WebAssembly.
 */

/** Encoding a row group of so many events holds the process up for some 50 ms. */
const GROUP_ROWS = 5_000;
/** Higher levels take twice the time for a twentieth of the bytes. */
const ZSTD_LEVEL = 3;

const REQUIRED = { repetition_type: "REQUIRED" } as const;
const TIME = { type: "INT64", converted_type: "TIMESTAMP_MILLIS", ...REQUIRED } as const;
const TEXT = { type: "BYTE_ARRAY", converted_type: "UTF8" } as const;

const COLUMNS: Record<keyof LakeRow, Omit<SchemaElement, "name">> = {
  partition: { type: "INT32", ...REQUIRED },
  arrived: TIME,
  sequence: { type: "INT64", ...REQUIRED },
  index: { type: "INT32", ...REQUIRED },
  id: { ...TEXT, ...REQUIRED },
  source: { ...TEXT, ...REQUIRED },
  type: { ...TEXT, ...REQUIRED },
  time: TIME,
  subject: { ...TEXT, repetition_type: "OPTIONAL" },
  data: { type: "BYTE_ARRAY", converted_type: "JSON", repetition_type: "OPTIONAL" },
};
const NAMES = Object.keys(COLUMNS) as (keyof LakeRow)[];
const SCHEMA: SchemaElement[] = [
  { name: "root", num_children: NAMES.length },
  ...NAMES.map((name) => ({ name, ...COLUMNS[name] })),
];
/** What values are encoded by: JSON is text here already, and would else become text of text. */
const ENCODING = SCHEMA.map((element) => {
  return element.converted_type === "JSON" ? { ...element, converted_type: "UTF8" as const } : element;
});

let ready: Promise<void> | null = null;
function zstdReady(): Promise<void> {
  ready ??= init();
  return ready;
}

const WHOLE: ReadonlySet<keyof LakeRow> = new Set(["arrived", "sequence", "time"]);

function columnOf(name: keyof LakeRow, rows: readonly LakeRow[]): ColumnSource {
  if (WHOLE.has(name)) return { name, data: rows.map((row) => BigInt(row[name] as number)) };
  return { name, data: rows.map((row) => row[name]) };
}

/** Rows → the bytes of a file; lets other work in between row groups. */
export async function encodeSegment(rows: readonly LakeRow[]): Promise<Uint8Array> {
  await zstdReady();
  const bytes = new ByteWriter();
  const compressors = { ZSTD: (page: Uint8Array) => compress(Buffer.from(page), ZSTD_LEVEL) };
  const writer = new ParquetWriter({
    writer: bytes,
    schema: ENCODING,
    codec: "ZSTD",
    compressors,
    createdBy: "tallymark",
  });
  for (let from = 0; from < rows.length; from += GROUP_ROWS) {
    if (from > 0) await nextTurn();
    const group = rows.slice(from, from + GROUP_ROWS);
    const columnData = NAMES.map((name) => columnOf(name, group));
    await writer.write({ columnData, rowGroupSize: group.length });
  }
  writer.schema = SCHEMA;
  await writer.finish();
  return bytes.getBytes();
}

const decoder = new TextDecoder();
/** JSON stays the text that it is. */
const PARSERS = {
  jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes),
  timestampFromMilliseconds: Number,
};

/** The bytes of a file → its rows; throws on anything that is no segment. */
export async function decodeSegment(bytes: Uint8Array): Promise<LakeRow[]> {
  await zstdReady();
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const compressors = { ZSTD: (page: Uint8Array) => decompress(Buffer.from(page)) };
  const rows = await parquetReadObjects({ file, compressors, parsers: PARSERS as object });
  return rows.map((row) => ({ ...(row as LakeRow), sequence: Number(row.sequence) }));
}
