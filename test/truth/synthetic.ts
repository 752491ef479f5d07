import type { ModelCounter, ModelEvent } from "./model.ts";
import { seededRandom } from "./replay.ts";

/** One line of the synthetic log, and what must become of it. */
export interface SyntheticLine {
  readonly text: string;
  /** `null` where the line must be rejected. */
  readonly event: ModelEvent | null;
  /** The rejection codes that the contract allows for it. */
  readonly code?: string;
}

const EVENTS = 5_000;
/** Three hours that cross midnight, so that no window but the day holds all of them, and the day does not either. */
const START = Date.parse("2021-03-04T22:20:00Z");
const HOURS_MS = 3 * 3_600_000;
/** How far an event may be behind the newest before it; below every lateness, so none is late. */
const DISORDER_MS = 25 * 60_000;
const SUBJECTS = 400;

export const COUNTERS: readonly ModelCounter[] = [
  {
    name: "views",
    event: ["view", "buy"],
    by: ["subject"],
    unique: "data.visitor",
    sum: "data.amount",
    windows: ["10s", "1m", "1h", "1d"],
    lateness: "30m",
  },
  {
    name: "pairs",
    event: "*",
    by: ["data.geo.country", "type"],
    sum: "data.amount",
    windows: ["5m", "1h"],
    lateness: "30m",
  },
  {
    name: "chosen",
    event: "*",
    by: [],
    where: { "data.geo.country": ["FR", 7] },
    unique: "data.visitor",
    windows: ["1m", "15m", "1d"],
    lateness: "1h",
  },
];

/** Texts that a careless step would change, merge or order otherwise than by code points. */
const STRANGE_SUBJECTS = [
  "",
  " ",
  "+",
  "a",
  "a\u0000",
  "a\u0000b",
  "a\u0001",
  "a\u0001b",
  "\u0001\u0002",
  "a b&c=d#e?f%20",
  'q"uo\\te',
  "{p}:1",
  "*?[a]",
  "é",
  "e\u0301",
  "ÉTÉ",
  "שלום עולם",
  "日本語/版",
  "\uFF5E beyond surrogates",
  "\uFFFD",
  "😀",
  "😀😀",
  "😁",
  "𝒳",
  "\u{10FFFF}",
  "__proto__",
  "constructor",
  "null",
  "0",
  "-1",
];

const COUNTRIES: readonly unknown[] = ["FR", "DE", 7, "7", true, "", "Côte d’Ivoire", "🇫🇷", null, ["FR"], 0.5];

export const PREFIXES = ["", "a", "a\u0000", "é", "e", "😀", "\uFF5E", "page/1", "nothing"];

/** The same log for the same seed. */
export function syntheticLog(seed: number): SyntheticLine[] {
  const random = seededRandom(seed);
  const lines: SyntheticLine[] = [];
  for (let i = 0; i < EVENTS; i++) {
    if (random() < 0.01) lines.push(malformed(random));
    const event = syntheticEvent(i, random);
    lines.push({ text: JSON.stringify(event), event });
    if (random() < 0.04) lines.push(repeated(lines, random));
  }
  return lines;
}

function syntheticEvent(i: number, random: () => number): ModelEvent {
  const progress = START + (HOURS_MS * i) / EVENTS;
  // Most events are nearly in order, some are far behind.
  const behind = random() < 0.2 ? random() * DISORDER_MS : random() * 3_000;
  const time = new Date(Math.max(START, Math.round(progress - behind))).toISOString();
  // One id in fifty is taken again by another source, which makes it another event.
  const id = i % 50 === 49 ? { id: `e${i - 1}`, source: "other/źródło" } : { id: `e${i}` };
  const type = pick(["view", "view", "view", "buy", "leave"], random);
  const subject = random() < 0.01 ? {} : { subject: subjectOf(zipf(random)) };
  const data = {
    visitor: visitor(random),
    ...(random() < 0.9 && { amount: amount(random) }),
    geo: random() < 0.95 ? { country: pick(COUNTRIES, random) } : {},
  };
  return { ...id, type, time, ...subject, data };
}

/** A retry that says something else than its first copy, which counts; seldom far behind it. */
function repeated(lines: readonly SyntheticLine[], random: () => number): SyntheticLine {
  const back = random() < 0.5 ? 1 : 1 + Math.floor(random() * Math.min(lines.length, 1_500));
  const original = (lines.at(-back)?.event ?? lines.find(({ event }) => event)?.event) as ModelEvent;
  const event = { ...original, subject: "changed by a retry", data: { visitor: "nobody", amount: 1e6 } };
  return { text: JSON.stringify(event), event };
}

function malformed(random: () => number): SyntheticLine {
  const valid = { id: "bad", type: "view", time: "2021-03-04T22:30:00Z" };
  const faults: [text: string, code: string][] = [
    ['{"id":"bad","type":"view"', "invalid_event"],
    ["[1,2]", "invalid_event"],
    ["null", "invalid_event"],
    [JSON.stringify({ ...valid, id: "" }), "invalid_id"],
    [JSON.stringify({ ...valid, id: "x".repeat(129) }), "invalid_id"],
    [JSON.stringify({ ...valid, source: 5 }), "invalid_source"],
    [JSON.stringify({ ...valid, type: undefined }), "invalid_type"],
    [JSON.stringify({ ...valid, time: "2021-02-30T00:00:00Z" }), "invalid_time"],
    [JSON.stringify({ ...valid, time: "yesterday" }), "invalid_time"],
    [JSON.stringify({ ...valid, time: "2999-01-01T00:00:00Z" }), "time_in_future"],
    [JSON.stringify({ ...valid, subject: "x".repeat(1_025) }), "invalid_subject"],
    [JSON.stringify({ ...valid, data: "text" }), "invalid_data"],
    [JSON.stringify({ ...valid, data: { amount: 9_000_000_000.5 } }), "invalid_data"],
    [JSON.stringify({ ...valid, data: { amount: -9_000_000_001 } }), "invalid_data"],
  ];
  const [text, code] = pick(faults, random);
  return { text, event: null, code };
}

function subjectOf(rank: number): string {
  // The strange ones are spread over the ranks, so that some are frequent and some are rare.
  return rank % 7 === 3 ? (STRANGE_SUBJECTS[(rank - 3) / 7] ?? `page/${rank}`) : `page/${rank}`;
}

/** Ranks from 0 with probabilities near 1/(rank + 1). */
function zipf(random: () => number): number {
  return Math.floor((SUBJECTS + 1) ** random()) - 1;
}

function visitor(random: () => number): unknown {
  const number = Math.floor(random() * 1_500);
  // Numbers and texts of the same digits are one member; an object is none.
  return pick<unknown>([`v${number}`, number, String(number), { number }, `посетитель ${number}`], random);
}

function amount(random: () => number): unknown {
  const small = Math.round((random() - 0.4) * 1e6);
  const choices: unknown[] = [
    small / 1e2,
    small / 1e4,
    // Seven decimals that end in 5: halves, which go away from zero.
    (small * 10 + 5) / 1e7,
    Math.round((random() - 0.5) * 1e4),
    small / 1e3,
    "12",
    null,
  ];
  // Some sums go beyond 2^53 micro-units, among them that of everything, and some come back from there.
  return random() < 0.004
    ? pick([9_000_000_000, 9_000_000_000, 9_000_000_000, -9_000_000_000], random)
    : pick(choices, random);
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)]!;
}
