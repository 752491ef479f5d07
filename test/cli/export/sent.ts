import { PassThrough } from "node:stream";
import { runExport } from "../../../src/cli/export/export.ts";
import type { ExportOptions } from "../../../src/cli/export/options.ts";
import type { CliIo } from "../../../src/cli/replay/io.ts";
import type { CounterInput } from "../../../src/core/counter.ts";
import { type TestIo, testIo } from "../helpers.ts";

export const T = Date.parse("2015-09-12T10:00:00Z");
export const MINUTE = 60_000;
export const SPAN = { from: new Date(T).toISOString(), to: String(T + 120 * MINUTE) };

const old = { windows: ["1m", "1h"], lateness: "4000d" };
export const COUNTERS: readonly CounterInput[] = [
  { name: "sales", event: "sale", by: ["subject", "data.country"], sum: "data.n", unique: "data.user", ...old },
  { name: "few", event: "sale", by: ["subject"], keysMax: 3, ...old },
  { name: "all", event: "*", by: [], ...old },
];

/**
 * What separates and quotes in one format or another, and what ends lines or texts. A byte order mark not in front, where
 * hyparquet drops it when it reads.
 */
const SUBJECTS = [
  ...["plain", "", " ", 'a "quoted", one', "two\nlines", "\r", "\r\n", "zero\u0000byte", "one\u0001byte", "tab\t;|"],
  ...["emoji 🎉", "=1+1", '"', "null", "\\", "\u2028", "not in front: \ufeff", "ünï", "-", ","],
];

export interface Sale {
  readonly id: string;
  readonly type: "sale";
  readonly subject: string;
  readonly time: number;
  readonly data: { readonly country: string; readonly n: number; readonly user: string };
}

export const SALES: readonly Sale[] = Array.from({ length: 1_200 }, (_, i) => ({
  id: `e${i}`,
  type: "sale",
  subject: SUBJECTS[i % SUBJECTS.length] as string,
  time: T + ((i * 7) % 90) * MINUTE + (i % 60_000),
  data: { country: ["FR", "DE", ""][i % 3] as string, n: (i - 600) / 8, user: `u${i % 7}` },
}));

export interface Row {
  readonly subject: string | null;
  readonly "data.country": string | null;
  readonly other: boolean;
  readonly start: string;
  readonly count: number;
  readonly sum: number;
  readonly unique: number;
  readonly final: boolean;
}

/** What the events that were sent come to, in an export's order. */
export function rowsOf(sales: readonly Sale[], windowMs: number): Row[] {
  const cells = groupBy(sales, ({ subject, time, data }) =>
    JSON.stringify([subject, data.country, time - (time % windowMs)]),
  );
  const rows = [...cells].map(([name, some]): Row => {
    const [subject, country, start] = JSON.parse(name);
    const sum = some.reduce((total, { data }) => total + data.n, 0);
    const unique = new Set(some.map(({ data }) => data.user)).size;
    const numbers = { count: some.length, sum, unique, final: false };
    return { subject, "data.country": country, other: false, start: new Date(start).toISOString(), ...numbers };
  });
  return rows.sort(compareRows);
}

/** `Map.groupBy`, which Node 20 does not have. */
export function groupBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) groups.set(nameOf(item), [...(groups.get(nameOf(item)) ?? []), item]);
  return groups;
}

function compareRows(a: Row, b: Row): number {
  const bytes = (text: string | null) => Buffer.from(text ?? "");
  return (
    Buffer.compare(bytes(a.subject), bytes(b.subject)) ||
    Buffer.compare(bytes(a["data.country"]), bytes(b["data.country"])) ||
    Date.parse(a.start) - Date.parse(b.start)
  );
}

export interface Exported {
  readonly out: Buffer;
  readonly summary: unknown;
  readonly io: TestIo;
}

/** Runs an export and keeps what it writes to standard output. */
export async function runTestExport(
  options: Partial<ExportOptions> & { readonly url: string },
  overrides: Partial<CliIo> = {},
): Promise<Exported> {
  const stdout = new PassThrough();
  const chunks: Buffer[] = [];
  stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  const io = testIo(overrides);
  const summary = await runExport({ counter: "sales", format: "ndjson", ...SPAN, ...options }, { ...io, stdout });
  return { out: Buffer.concat(chunks), summary, io };
}
