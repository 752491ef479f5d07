import { isObject } from "../../core/event.ts";
import { identityTime } from "../../core/identity.ts";
import { parseTime } from "../../core/time.ts";

/** A line on its way to the service. */
export interface OutgoingLine {
  /** The file it is from. */
  readonly input: string;
  readonly number: number;
  /** As the service gets it, in every try alike. */
  readonly bytes: Buffer;
  /** Event time, epoch ms; `null` when the line does not tell. */
  readonly time: number | null;
}

/**
 * Readies a line's text for sending. An event without an id gets one, so that the service recognises a second try;
 * apart from that not a byte is changed, and what is no event is left for the service to reject.
 */
export function prepareLine(input: string, number: number, bytes: Buffer, makeId: () => string): OutgoingLine {
  const value = parse(bytes);
  if (!isObject(value)) return { input, number, bytes, time: null };
  const { id, time } = value;
  if (id === undefined || id === null) {
    return { input, number, bytes: appendId(bytes, makeId(), Object.keys(value).length === 0), time: parseTime(time) };
  }
  const absent = time === undefined || time === null;
  return { input, number, bytes, time: absent && typeof id === "string" ? identityTime(id) : parseTime(time) };
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

const CLOSING_BRACE = 0x7d;

/** At the end, because of two members of one name (`"id":null` and this one) the last counts. */
function appendId(bytes: Buffer, id: string, isEmpty: boolean): Buffer {
  const end = bytes.lastIndexOf(CLOSING_BRACE);
  const member = Buffer.from(`${isEmpty ? "" : ","}"id":"${id}"`);
  return Buffer.concat([bytes.subarray(0, end), member, bytes.subarray(end)]);
}
