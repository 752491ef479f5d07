import { type Event, isObject } from "./event.ts";
import type { Identity } from "./identity.ts";

/**
 * An event as a stream entry carries it: the JSON array `[fingerprint, spread, id, source, type, time, subject, data]`.
 * An entry's payload is a JSON array of these.
 */
export type PackedEvent = string;

/** An event that came out of a stream entry. */
export interface ReceivedEvent extends Event, Identity {}

export function packEvent(event: Event, identity: Identity): PackedEvent {
  const { id, source, type, time, subject, data } = event;
  return JSON.stringify([identity.fingerprint, identity.spread, id, source, type, time, subject, data]);
}

export function packPayload(events: readonly PackedEvent[]): string {
  return `[${events.join(",")}]`;
}

/** Something in a payload that is no event: why, and a payload that holds it alone. */
export interface Poison {
  readonly fault: string;
  readonly payload: string;
}

/** Payload → its events; what is not of the form is poison. `null`: the payload itself is not. */
export function unpackPayload(payload: string): (ReceivedEvent | Poison)[] | null {
  let values: unknown;
  try {
    values = JSON.parse(payload);
  } catch {
    return null;
  }
  return Array.isArray(values) ? values.map(unpackEvent) : null;
}

const FINGERPRINT = /^-?\d{1,19}$/;

function unpackEvent(value: unknown): ReceivedEvent | Poison {
  const fault = Array.isArray(value) ? faultOf(value) : "is not an array";
  if (fault !== null) return { fault, payload: JSON.stringify([value]) };
  // By position: taking an array apart goes through its iterator, which costs as much as all else here.
  const packed = value as PackedFields;
  return {
    fingerprint: packed[0],
    spread: packed[1],
    id: packed[2],
    source: packed[3],
    type: packed[4],
    time: packed[5],
    subject: packed[6],
    data: packed[7],
  };
}

type PackedFields = readonly [
  fingerprint: string,
  spread: number,
  id: string,
  source: string,
  type: string,
  time: number | null,
  subject: string | null,
  data: Event["data"],
];

function faultOf(packed: readonly unknown[]): string | null {
  const [fingerprint, spread, time, subject, data] = [packed[0], packed[1], packed[5], packed[6], packed[7]];
  if (typeof fingerprint !== "string" || !FINGERPRINT.test(fingerprint)) return "has no fingerprint";
  if (!Number.isInteger(spread)) return "has no spread";
  for (let i = 2; i <= 4; i++) if (typeof packed[i] !== "string") return "lacks a field";
  if (time !== null && !(Number.isInteger(time) && (time as number) >= 0)) return "has no valid time";
  if (subject !== null && typeof subject !== "string") return "has no valid subject";
  return data === null || isObject(data) ? null : "has no valid data";
}
