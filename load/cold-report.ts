import type { WriteFigures } from "./cold-writes.ts";
import type { Quantiles } from "./quantiles.ts";

export interface ColdFigures {
  readonly writes: readonly (WriteFigures & { readonly on: string; readonly what: string })[];
  readonly reads: readonly (Quantiles & { readonly on: string; readonly what: string; readonly tableRows: number })[];
}

const whole = (value: number) => Math.round(value).toLocaleString("en");
const fixed = (value: number, digits = 2) => value.toFixed(digits);

/** Two tables, and all figures as a line of JSON. */
export function printColdFigures(figures: ColdFigures): void {
  table(
    "Rows written, per second",
    ["", "rows", "bytes/row", "export", "plain COPY", "ratio"],
    [
      ...figures.writes.map(({ on, what, rows, bytesPerRow, exported, copied, ratio }) => [
        `${on}, ${what}`,
        ...[whole(rows), whole(bytesPerRow), whole(exported), whole(copied), fixed(ratio)],
      ]),
    ],
  );
  table(
    "Series of 1,000 buckets, ms",
    ["", "table rows", "p50", "p99", "max"],
    [
      ...figures.reads.map(({ on, what, tableRows, p50, p99, max }) => [
        `${on}, ${what}`,
        ...[whole(tableRows), ...[p50, p99, max].map((ms) => fixed(ms, 1))],
      ]),
    ],
  );
  process.stdout.write(`\n${JSON.stringify(figures)}\n`);
}

function table(title: string, head: readonly string[], lines: readonly (readonly string[])[]): void {
  const show = ([name = "", ...cells]: readonly string[]) =>
    `  ${name.padEnd(34)}${cells.map((cell) => cell.padStart(12)).join("")}`;
  process.stdout.write(`\n${title}\n${[head, ...lines].map(show).join("\n")}\n`);
}
