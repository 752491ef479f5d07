import { useState } from "preact/hooks";
import type { Amount } from "./api.ts";
import type { ChartData, Line } from "./chart-data.ts";
import { columnFormat, formatStart } from "./format.ts";

export interface ChartTableProps {
  readonly caption: string;
  readonly lines: readonly Line[];
  readonly data: ChartData;
  readonly windowMs: number;
}

/** The chart's numbers as a table, newest first; rows are made only while it is open. */
export function ChartTable({ caption, lines, data, windowMs }: ChartTableProps) {
  const [isOpen, setOpen] = useState(false);
  const formats = isOpen ? data.columns.map((column) => columnFormat(column.map((amount) => amount ?? 0))) : [];
  return (
    <details class="numbers" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Numbers as a table</summary>
      {isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <section class="scroll" tabIndex={0} aria-label={caption}>
          <table>
            <caption>{caption}</caption>
            <thead>
              <tr>
                <th scope="col">Bucket</th>
                {lines.map(({ label, colour }) => (
                  <th key={colour} scope="col" class="number">
                    {label}
                  </th>
                ))}
                <th scope="col">State</th>
              </tr>
            </thead>
            <tbody>
              {data.starts
                .map((start, i) => <Row key={start} at={i} {...{ lines, data, windowMs, formats }} />)
                .reverse()}
            </tbody>
          </table>
        </section>
      )}
    </details>
  );
}

interface RowProps extends Omit<ChartTableProps, "caption"> {
  readonly at: number;
  readonly formats: readonly ((amount: Amount) => string)[];
}

function Row({ at, lines, data, windowMs, formats }: RowProps) {
  const start = data.starts[at] as number;
  return (
    <tr>
      <th scope="row">
        <time dateTime={new Date(start).toISOString()}>{formatStart(start, windowMs)}</time>
      </th>
      {lines.map(({ colour }, i) => (
        <td key={colour} class="number">
          {formats[i]?.(data.columns[i]?.[at] ?? 0)}
        </td>
      ))}
      <td>{data.final[at] ? "final" : <span class="tag open">open</span>}</td>
    </tr>
  );
}
