import { type Event, isObject } from "./event.ts";
import type { Identity } from "./identity.ts";

/**
 * An event as a stream entry carries it: the JSON array `[fingerprint, spread, id, source, type, time, subject, data]`.
 * An entry's payload is a JSON array of these.
 */
export type PackedEvent = string;

/** An event that came out of a stream entry. */
export interface ReceivedEvent {
  readonly event: Event;
  readonly identity: Identity;
}

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
  const bad = (fault: string) => ({ fault, payload: JSON.stringify([value]) });
  if (!Array.isArray(value)) return bad("is not an array");
  const [fingerprint, spread, id, source, type, time, subject, data] = value;
  if (typeof fingerprint !== "string" || !FINGERPRINT.test(fingerprint)) return bad("has no fingerprint");
  if (!Number.isInteger(spread)) return bad("has no spread");
  if (typeof id !== "string" || typeof source !== "string" || typeof type !== "string") return bad("lacks a field");
  if (time !== null && !(Number.isInteger(time) && time >= 0)) return bad("has no valid time");
  if (subject !== null && typeof subject !== "string") return bad("has no valid subject");
  if (data !== null && !isObject(data)) return bad("has no valid data");
  return { event: { id, source, type, time, subject, data }, identity: { fingerprint, spread } };
}
