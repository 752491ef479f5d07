import { type Event, isObject } from "./event.ts";
import type { Identity } from "./identity.ts";
import { EVENT_BYTES_MAX } from "./limits.ts";

/**
 * What a stream entry carries: JSON, in one of two forms.
 *
 * Rows, of ledgers and dead letters, and of entries that an earlier release has queued: an array with an array
 * `[fingerprint, spread, id, source, type, time, subject, data]` for each event.
 *
 * Columns, of what ingest queues: `{"columns":[fingerprints, spreads, ids, sources, types, base, times, subjects, data]}`.
 * All but the fingerprints may be one value instead of a list, when all events have it; times are counted from `base`.
 * They are smaller, and take half as long to write and two thirds as long to read.
 */

/** An event and what identifies it. */
export interface IdentifiedEvent {
  readonly event: Event;
  readonly identity: Identity;
}

/** An event that came out of a stream entry. */
export interface ReceivedEvent extends Event, Identity {}

/** A row. */
export type PackedEvent = string;

export function packEvent(event: Event, identity: Identity): PackedEvent {
  const { id, source, type, time, subject, data } = event;
  return JSON.stringify([identity.fingerprint, identity.spread, id, source, type, time, subject, data]);
}

/** Rows → payload. */
export function packPayload(events: readonly PackedEvent[]): string {
  return `[${events.join(",")}]`;
}

/** Whether an event is larger than ingest takes, as a row. */
export function isTooLarge(event: Event, identity: Identity): boolean {
  if (boundOf(event) <= EVENT_BYTES_MAX) return false;
  return Buffer.byteLength(packEvent(event, identity)) > EVENT_BYTES_MAX;
}

/** Bytes that a UTF-16 unit takes at most in JSON: `\u0000`. */
const UNIT_BYTES = 6;
/** Bytes that any number takes at most, and more than all other scalars, quotes and commas. */
const SCALAR_BYTES = 32;

/** More bytes than the row has, for the events that most are: all others are measured. */
function boundOf({ id, source, type, subject, data }: Event): number {
  let units = id.length + source.length + type.length + (subject?.length ?? 0);
  let scalars = 8;
  for (const name in data) {
    const value = data[name];
    if (typeof value === "object" && value !== null) return Number.POSITIVE_INFINITY;
    units += name.length + (typeof value === "string" ? value.length : 0);
    scalars++;
  }
  return units * UNIT_BYTES + scalars * SCALAR_BYTES;
}

/** Events → payload, in columns. */
export function packColumns(events: readonly IdentifiedEvent[]): string {
  const base = events.find(({ event }) => event.time !== null)?.event.time ?? 0;
  const columns = [
    events.map(({ identity }) => identity.fingerprint),
    columnOf(events.map(({ identity }) => identity.spread)),
    columnOf(events.map(({ event }) => event.id)),
    columnOf(events.map(({ event }) => event.source)),
    columnOf(events.map(({ event }) => event.type)),
    base,
    columnOf(events.map(({ event: { time } }) => (time === null ? null : time - base))),
    columnOf(events.map(({ event }) => event.subject)),
    columnOf(events.map(({ event }) => event.data)),
  ];
  return JSON.stringify({ columns });
}

/** No value is a list itself, so it can be told from one. */
function columnOf(values: readonly unknown[]): unknown {
  return values.every((value) => value === values[0]) ? values[0] : values;
}

/** Something in a payload that is no event: why, and a payload that holds it alone. */
export interface Poison {
  readonly fault: string;
  readonly payload: string;
}

/** Payload of either form → its events; what is not of the form is poison. `null`: the payload itself is not. */
export function unpackPayload(payload: string): (ReceivedEvent | Poison)[] | null {
  let values: unknown;
  try {
    values = JSON.parse(payload);
  } catch {
    return null;
  }
  if (Array.isArray(values)) return values.map(unpackRow);
  return isObject(values) ? unpackColumns(values.columns) : null;
}

function unpackRow(row: unknown): ReceivedEvent | Poison {
  const event = Array.isArray(row) ? eventOf(row) : null;
  const fault = event === null ? "is not an array" : faultOf(event);
  return fault === null ? (event as ReceivedEvent) : { fault, payload: JSON.stringify([row]) };
}

/** By position: taking an array apart goes through its iterator, which costs as much as all else here. */
function eventOf(row: readonly unknown[]): Unchecked {
  return {
    fingerprint: row[0],
    spread: row[1],
    id: row[2],
    source: row[3],
    type: row[4],
    time: row[5],
    subject: row[6],
    data: row[7],
  };
}

/** How many columns there are, the base of times included. */
export const COLUMNS = 9;

function unpackColumns(columns: unknown): (ReceivedEvent | Poison)[] | null {
  if (!Array.isArray(columns) || columns.length !== COLUMNS || !Array.isArray(columns[0])) return null;
  const [fingerprints, spreads, ids, sources, types, base, times, subjects, data] = columns;
  return fingerprints.map((fingerprint: unknown, i) => {
    const time = valueAt(times, i);
    const event = {
      fingerprint,
      spread: valueAt(spreads, i),
      id: valueAt(ids, i),
      source: valueAt(sources, i),
      type: valueAt(types, i),
      time: typeof time === "number" ? base + time : time,
      subject: valueAt(subjects, i),
      data: valueAt(data, i),
    };
    const fault = faultOf(event);
    if (fault === null) return event as ReceivedEvent;
    return { fault, payload: packPayload([packEvent(event as ReceivedEvent, event as ReceivedEvent)]) };
  });
}

function valueAt(column: unknown, i: number): unknown {
  return Array.isArray(column) ? column[i] : column;
}

type Unchecked = { readonly [K in keyof ReceivedEvent]: unknown };

const FINGERPRINT = /^-?\d{1,19}$/;

function faultOf({ fingerprint, spread, id, source, type, time, subject, data }: Unchecked): string | null {
  if (typeof fingerprint !== "string" || !FINGERPRINT.test(fingerprint)) return "has no fingerprint";
  if (!Number.isInteger(spread)) return "has no spread";
  if (typeof id !== "string" || typeof source !== "string" || typeof type !== "string") return "lacks a field";
  if (time !== null && !(Number.isInteger(time) && (time as number) >= 0)) return "has no valid time";
  if (subject !== null && typeof subject !== "string") return "has no valid subject";
  return data === null || isObject(data) ? null : "has no valid data";
}
