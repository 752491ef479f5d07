import { type Counter, keyOf } from "../../core/counter.ts";
import { toMicro } from "../../core/decimal.ts";
import type { Event } from "../../core/event.ts";
import { readField, scalarText } from "../../core/fields.ts";
import { bucketStart, type Window } from "../../core/window.ts";

export interface Cell {
  count: bigint;
  micro: bigint;
}

/** A key's text; `null`: the keys that `keysMax` refused, together. */
export type Owner = string | null;

/** Cells by bucket start, then owner. */
export type Cells = ReadonlyMap<number, ReadonlyMap<Owner, Cell>>;

/** What one counter should hold, counted in the plainest way there is. */
export class Expected {
  readonly counter: Counter;
  readonly #finest = new Map<number, Map<Owner, Cell>>();
  /** A number for each distinct member, so that a key's members take little room. */
  readonly #members = new Map<string, number>();
  readonly #membersOf = new Map<Owner, Set<number>>();
  /** Keys that lack a part of their events. */
  readonly #refused = new Set<Owner>();

  constructor(counter: Counter) {
    this.counter = counter;
  }

  /** Counts an event that matches the counter. */
  add(event: Event, time: number): void {
    const { sum, unique, windows } = this.counter;
    const key = keyOf(this.counter, event);
    const value = sum && readField(event, sum);
    const micro = typeof value === "number" ? BigInt(toMicro(value)) : 0n;
    addTo(this.#finest, bucketStart(time, (windows[0] as Window).ms), key, { count: 1n, micro });
    const member = unique && scalarText(readField(event, unique));
    if (member !== null) this.#addMember(key, member);
  }

  #addMember(key: string, member: string): void {
    const number = this.#members.get(member) ?? this.#members.size;
    this.#members.set(member, number);
    const own = this.#membersOf.get(key);
    if (own) own.add(number);
    else this.#membersOf.set(key, new Set([number]));
  }

  /** Cells of one window. */
  cells(window: Window): Cells {
    if (window === this.counter.windows[0]) return this.#finest;
    const folded = new Map<number, Map<Owner, Cell>>();
    for (const [start, row] of this.#finest) {
      for (const [owner, cell] of row) addTo(folded, bucketStart(start, window.ms), owner, cell);
    }
    return folded;
  }

  /** From the first to the last finest bucket with data; `null` without any. */
  get span(): { from: number; to: number } | null {
    let [from, to] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const start of this.#finest.keys()) {
      from = Math.min(from, start);
      to = Math.max(to, start + (this.counter.windows[0] as Window).ms);
    }
    return from < to ? { from, to } : null;
  }

  /** Sums over `[from, to)` of every owner; both ends are bucket starts. */
  totals(from: number, to: number): Map<Owner, Cell> {
    const folded = new Map<number, Map<Owner, Cell>>();
    for (const [start, row] of this.#finest) {
      if (start >= from && start < to) for (const [owner, cell] of row) addTo(folded, 0, owner, cell);
    }
    return folded.get(0) ?? new Map();
  }

  /** Distinct members of a key over everything; `null`: not known, since some of them were counted elsewhere. */
  membersOf(owner: Owner): number | null {
    return owner === null || this.#refused.has(owner) ? null : (this.#membersOf.get(owner)?.size ?? 0);
  }

  /** Every key with a cell of its own. */
  keys(): Set<string> {
    const keys = new Set<string>();
    for (const row of this.#finest.values()) for (const owner of row.keys()) if (owner !== null) keys.add(owner);
    return keys;
  }

  get members(): number {
    return this.#members.size;
  }

  /** Counts these keys under no name of their own within `[from, to)`. */
  refuse(keys: ReadonlySet<Owner>, from: number, to: number): void {
    for (const key of keys) this.#refused.add(key);
    for (const [start, row] of this.#finest) {
      if (start < from || start >= to) continue;
      for (const [owner, cell] of [...row]) {
        if (!keys.has(owner)) continue;
        row.delete(owner);
        addTo(this.#finest, start, null, cell);
      }
    }
  }
}

function addTo(cells: Map<number, Map<Owner, Cell>>, start: number, owner: Owner, { count, micro }: Cell): void {
  let row = cells.get(start);
  if (!row) {
    row = new Map();
    cells.set(start, row);
  }
  const cell = row.get(owner);
  if (!cell) row.set(owner, { count, micro });
  else {
    cell.count += count;
    cell.micro += micro;
  }
}

/** All owners of a row together. */
export function sumRow(row: ReadonlyMap<Owner, Cell> | undefined): Cell {
  const sum = { count: 0n, micro: 0n };
  for (const { count, micro } of row?.values() ?? []) {
    sum.count += count;
    sum.micro += micro;
  }
  return sum;
}
