import type { CounterInput } from "../../src/core/counter.ts";
import type { SentEvent } from "./events.ts";

/**
 * The counters of a run. Their lateness is short, so that some events really are late, and so is what most of them keep
 * in Redis, so that buckets leave for cold storage while everything is tortured and compared.
 */
export const COUNTERS = [
  {
    name: "views",
    event: "page.view",
    by: ["subject"],
    unique: "data.visitor",
    sum: "data.amount",
    windows: ["10s", "1m"],
    lateness: "20s",
    keep: { "10s": "80s", "1m": "30s" },
  },
  {
    name: "sales",
    event: ["purchase", "refund"],
    by: ["type", "data.country"],
    sum: "data.amount",
    windows: ["5s", "30s", "5m"],
    lateness: "10s",
    keep: { "5s": "40s", "30s": "310s", "5m": "10s" },
  },
  { name: "everything", event: "*", by: [], unique: "data.visitor", windows: ["10s", "1m", "1h"], lateness: "30s" },
  {
    name: "capped",
    event: "*",
    by: ["subject"],
    windows: ["10s", "1m"],
    lateness: "15s",
    keep: { "10s": "75s", "1m": "15s" },
    keysMax: 50,
  },
] as const satisfies readonly CounterInput[];

export interface TortureCounter {
  readonly name: string;
  readonly types: readonly string[] | null;
  readonly by: readonly string[];
  readonly hasUnique: boolean;
  readonly hasSum: boolean;
  /** Finest first. */
  readonly windows: readonly { readonly label: string; readonly ms: number }[];
  readonly latenessMs: number;
  readonly keysMax: number | null;
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function toMs(duration: string): number {
  return Number(duration.slice(0, -1)) * (UNIT_MS[duration.at(-1) as string] as number);
}

/** What a definition means, worked out here rather than by the code under test. */
export function readCounter(input: CounterInput): TortureCounter {
  const types = [input.event].flat();
  return {
    name: input.name,
    types: types.includes("*") ? null : types,
    by: input.by ?? [],
    hasUnique: input.unique !== undefined,
    hasSum: input.sum !== undefined,
    windows: (input.windows ?? []).map((label) => ({ label, ms: toMs(label) })),
    latenessMs: toMs(input.lateness ?? "0s"),
    keysMax: input.keysMax ?? null,
  };
}

export function counts(counter: TortureCounter, event: SentEvent): boolean {
  return counter.types === null || counter.types.includes(event.type);
}

const FIELDS: Readonly<Record<string, (event: SentEvent) => string>> = {
  subject: ({ subject }) => subject,
  type: ({ type }) => type,
  "data.country": ({ country }) => country,
};

/** The key of an event, as answers show it. */
export function keyOf(counter: TortureCounter, event: SentEvent): string[] {
  return counter.by.map((field) => (FIELDS[field] as (event: SentEvent) => string)(event));
}
