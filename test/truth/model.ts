import { byCodePoints } from "./compare.ts";
import type { Question } from "./questions.ts";

/**
 * A recount in plain loops that answers the same questions as the service. It shares nothing with it, keeps every event
 * and reads them all for each question; an error made in both would have to be made twice.
 */

export interface ModelEvent {
  readonly id: string;
  readonly source?: string;
  readonly type: string;
  readonly time: string;
  readonly subject?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** A counter definition, as far as the tests use it. */
export interface ModelCounter {
  readonly name: string;
  readonly event: string | readonly string[];
  readonly by: readonly string[];
  readonly unique?: string;
  readonly sum?: string;
  readonly where?: Readonly<Record<string, unknown>>;
  readonly windows: readonly string[];
  readonly lateness: string;
}

interface Hit {
  readonly time: number;
  readonly key: readonly string[];
  readonly keyText: string;
  readonly micro: bigint;
  readonly member: string | undefined;
}

export interface ModelNumbers {
  readonly count: number;
  readonly sum?: string;
  readonly unique?: number;
}

export interface ModelAnswer extends ModelNumbers {
  readonly counter: string;
  readonly key: readonly string[] | null;
  readonly from: string;
  readonly to: string;
  readonly watermark: null;
  readonly final: false;
  readonly window?: string;
  readonly buckets?: readonly (ModelNumbers & { readonly start: string; readonly final: false })[];
  readonly top?: readonly (ModelNumbers & { readonly key: readonly string[] })[];
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export function durationMs(text: string): number {
  return Number(text.slice(0, -1)) * UNITS[text.slice(-1)]!;
}

export class Model {
  readonly #counters = new Map<string, ModelCounter>();
  readonly #hits = new Map<string, Hit[]>();
  readonly #byKey = new Map<string, Map<string, Hit[]>>();

  /** The events in the order of their arrival: of those with one source and id, the first counts. */
  constructor(counters: readonly ModelCounter[], events: readonly ModelEvent[]) {
    const seen = new Set<string>();
    const unique = events.filter(({ source = "", id }) => {
      const identity = JSON.stringify([source, id]);
      return !seen.has(identity) && seen.add(identity);
    });
    for (const counter of counters) {
      const hits = unique.filter((event) => isCounted(counter, event)).map((event) => toHit(counter, event));
      this.#counters.set(counter.name, counter);
      this.#hits.set(counter.name, hits);
      this.#byKey.set(counter.name, groupByKey(hits));
    }
  }

  answer(question: Question): ModelAnswer {
    const counter = this.#counters.get(question.counter)!;
    const window = question.feed === "series" ? (question.window ?? counter.windows[0]!) : counter.windows[0]!;
    const width = durationMs(window);
    const [from, to] = this.#span(question, width);
    const all = question.key === undefined ? this.#hits.get(counter.name)! : this.#hitsOf(counter, question.key);
    const hits = all.filter(({ time }) => time >= from && time < to);
    return {
      counter: counter.name,
      key: question.key ?? null,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      watermark: null,
      final: false,
      ...numbers(counter, hits),
      ...(question.feed === "series" && { window, buckets: buckets(counter, hits, from, to, width) }),
      ...(question.feed === "top" && { top: top(counter, hits, question) }),
    };
  }

  /** All keys, in the order that a listing has. */
  keys(counter: string, prefix = ""): string[][] {
    const firsts = [...this.#byKey.get(counter)!.values()].map(([first]) => first!.key);
    return firsts
      .filter(([field = ""]) => field.startsWith(prefix))
      .map((key) => [...key])
      .sort(byFields);
  }

  #hitsOf(counter: ModelCounter, key: readonly string[]): Hit[] {
    return this.#byKey.get(counter.name)!.get(JSON.stringify(key)) ?? [];
  }

  #span({ from, to, last, counter }: Question, width: number): [number, number] {
    if (last === undefined) {
      return [Math.floor(Date.parse(from!) / width) * width, Math.ceil(Date.parse(to!) / width) * width];
    }
    const newest = this.#hits.get(counter)!.reduce((max, { time }) => Math.max(max, time), 0);
    const end = Math.floor(newest / width) * width + width;
    return [end - Math.ceil(durationMs(last) / width) * width, end];
  }
}

function isCounted({ event: types, where = {} }: ModelCounter, event: ModelEvent): boolean {
  if (types !== "*" && ![types].flat().includes(event.type)) return false;
  return Object.entries(where).every(([path, wanted]) => {
    const value = scalar(field(event, path));
    return value !== undefined && [wanted].flat().map(scalar).includes(value);
  });
}

function toHit(counter: ModelCounter, event: ModelEvent): Hit {
  const key = counter.by.map((path) => scalar(field(event, path)) ?? "");
  return {
    time: Date.parse(event.time),
    key,
    keyText: JSON.stringify(key),
    micro: micro(counter.sum && field(event, counter.sum)),
    member: counter.unique && scalar(field(event, counter.unique)),
  };
}

function groupByKey(hits: readonly Hit[]): Map<string, Hit[]> {
  return groupBy(hits, ({ keyText }) => keyText);
}

function groupBy<K>(hits: readonly Hit[], by: (hit: Hit) => K): Map<K, Hit[]> {
  const groups = new Map<K, Hit[]>();
  for (const hit of hits) {
    const group = groups.get(by(hit));
    if (group) group.push(hit);
    else groups.set(by(hit), [hit]);
  }
  return groups;
}

function field(event: ModelEvent, path: string): unknown {
  return path
    .split(".")
    .reduce<unknown>((value, step) => (value as Record<string, unknown> | undefined)?.[step], event);
}

function scalar(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? JSON.stringify(value) : undefined;
}

/** Right for whole numbers and for values below 1e8 of at most seven decimals. Halves go away from zero. */
function micro(value: unknown): bigint {
  if (typeof value !== "number") return 0n;
  const tenths = BigInt(Math.round(Math.abs(value) * 1e7));
  const rounded = (tenths + 5n) / 10n;
  return value < 0 ? -rounded : rounded;
}

function numbers({ sum, unique }: ModelCounter, hits: readonly Hit[]): ModelNumbers {
  const members = new Set(hits.map(({ member }) => member).filter((member) => member !== undefined));
  const total = hits.reduce((micros, hit) => micros + hit.micro, 0n);
  return { count: hits.length, ...(sum && { sum: decimal(total) }), ...(unique && { unique: members.size }) };
}

function decimal(micros: bigint): string {
  const digits = (micros < 0n ? -micros : micros).toString().padStart(7, "0");
  const fraction = digits.slice(-6).replace(/0+$/, "");
  return `${micros < 0n ? "-" : ""}${digits.slice(0, -6)}${fraction && `.${fraction}`}`;
}

function buckets(counter: ModelCounter, hits: readonly Hit[], from: number, to: number, width: number) {
  const groups = groupBy(hits, ({ time }) => Math.floor(time / width) * width);
  const starts = Array.from({ length: (to - from) / width }, (_, i) => from + i * width);
  return starts.map((start) => ({
    start: new Date(start).toISOString(),
    ...numbers(counter, groups.get(start) ?? []),
    final: false as const,
  }));
}

function top(counter: ModelCounter, hits: readonly Hit[], { limit = 10, by = "count" }: Question) {
  const ranked = [...groupByKey(hits).values()].map((of) => {
    const { unique: _, ...shown } = numbers(counter, of);
    const size = by === "count" ? BigInt(of.length) : of.reduce((micros, hit) => micros + hit.micro, 0n);
    return { size, entry: { key: of[0]!.key, ...shown } };
  });
  ranked.sort((a, b) => (a.size === b.size ? byFields(a.entry.key, b.entry.key) : a.size > b.size ? -1 : 1));
  return ranked.slice(0, limit).map(({ entry }) => entry);
}

/** Field by field, each in code-point order. */
function byFields(a: readonly string[], b: readonly string[]): number {
  const different = a.findIndex((value, i) => value !== b[i]);
  return different < 0 ? 0 : byCodePoints(a[different]!, b[different]!);
}
