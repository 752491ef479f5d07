import type { Counter } from "../../core/counter.ts";
import type { ExportRow } from "./rows.ts";

/** One column of an export: how it is named and typed, and its value in a row. */
export interface Column {
  readonly name: string;
  readonly type: "text" | "flag" | "time" | "whole" | "number";
  readonly of: (row: ExportRow) => unknown;
}

/** A column for each `by` field, then the bucket and its numbers. */
export function columnsOf(counter: Counter): Column[] {
  const fields = counter.definition.by;
  const columns: (Column | false)[] = [
    ...fields.map((name, i): Column => ({ name, type: "text", of: ({ key }) => key?.[i] ?? null })),
    fields.length > 0 && { name: "other", type: "flag", of: ({ key }) => key === null },
    { name: "start", type: "time", of: ({ start }) => start },
    { name: "count", type: "whole", of: ({ count }) => count },
    counter.sum !== null && { name: "sum", type: "number", of: ({ sum }) => sum },
    counter.unique !== null && { name: "unique", type: "whole", of: ({ unique }) => unique },
    { name: "final", type: "flag", of: ({ final }) => final },
  ];
  return columns.filter((column) => column !== false);
}
