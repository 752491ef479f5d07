import { identityTime } from "./identity.ts";
import {
  DATA_DEPTH_MAX,
  FUTURE_MAX_MS,
  ID_BYTES_MAX,
  SOURCE_BYTES_MAX,
  SUBJECT_BYTES_MAX,
  TIME_MAX_MS,
  TYPE_BYTES_MAX,
} from "./limits.ts";
import { parseTime } from "./time.ts";

/** A validated event. `time` is `null` when it is its arrival, which only the stream entry's id tells. */
export interface Event {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** Epoch milliseconds. */
  readonly time: number | null;
  readonly subject: string | null;
  readonly data: Readonly<Record<string, unknown>> | null;
}

export type RejectionCode =
  | "invalid_event"
  | "invalid_id"
  | "invalid_source"
  | "invalid_type"
  | "invalid_time"
  | "time_in_future"
  | "invalid_subject"
  | "invalid_data"
  | "too_large";

export class Rejection {
  readonly code: RejectionCode;
  readonly detail: string;

  constructor(code: RejectionCode, detail: string) {
    this.code = code;
    this.detail = detail;
  }
}

/**
 * What a producer sent as one event → the event, or why not. Fields that are not of the event's shape (CloudEvents
 * extension attributes, for instance) are ignored.
 *
 * @param now epoch milliseconds, for the limit on future times
 * @param makeId makes an id for an event that has none
 */
export function validateEvent(value: unknown, now: number, makeId: () => string): Event | Rejection {
  if (!isObject(value)) return new Rejection("invalid_event", "an event must be a JSON object");
  if (value.specversion !== undefined && value.specversion !== "1.0") {
    return new Rejection("invalid_event", 'specversion: must be "1.0" where given');
  }
  const { id: givenId, source = "", type, subject = null, data = null } = value;

  const idFault = givenId === undefined || givenId === null ? null : textFault(givenId, 1, ID_BYTES_MAX);
  if (idFault) return new Rejection("invalid_id", `id: ${idFault}`);
  const sourceFault = textFault(source, 0, SOURCE_BYTES_MAX);
  if (sourceFault) return new Rejection("invalid_source", `source: ${sourceFault}`);
  const typeFault = textFault(type, 1, TYPE_BYTES_MAX);
  if (typeFault) return new Rejection("invalid_type", `type: ${typeFault}`);
  const subjectFault = subject === null ? null : textFault(subject, 0, SUBJECT_BYTES_MAX);
  if (subjectFault) return new Rejection("invalid_subject", `subject: ${subjectFault}`);
  if (data !== null && !isObject(data)) return new Rejection("invalid_data", "data: must be an object where given");
  const peculiarity = data === null ? null : peculiarityOf(data, DATA_DEPTH_MAX);
  if (peculiarity === "deep") {
    return new Rejection("invalid_data", `data: must be nested at most ${DATA_DEPTH_MAX} levels deep`);
  }
  if (value.data_base64 !== undefined) return new Rejection("invalid_data", "data_base64: binary data is not counted");

  const id = (givenId as string | null | undefined) ?? makeId();
  const time = eventTime(value.time, givenId as string | null | undefined);
  if (time instanceof Rejection) return time;
  if (time !== null && time > now + FUTURE_MAX_MS) {
    return new Rejection("time_in_future", "time: must not be more than 5 minutes ahead of arrival");
  }
  return {
    id,
    source: source as string,
    type: type as string,
    time,
    subject: subject as string | null,
    // A number beyond a double's range has no JSON: the stream entry will say null, and so must a recount.
    data: (peculiarity === "infinite" ? JSON.parse(JSON.stringify(data)) : data) as Record<string, unknown> | null,
  };
}

function eventTime(given: unknown, id: string | null | undefined): number | null | Rejection {
  if (given === undefined || given === null) return id ? identityTime(id) : null;
  const time = parseTime(given);
  if (time !== null) return time;
  const years = new Date(TIME_MAX_MS).getUTCFullYear();
  return new Rejection(
    "invalid_time",
    `time: must be an RFC 3339 string or whole epoch milliseconds, in the years 1970 to ${years}`,
  );
}

/**
 * Whether a value has more levels of objects and arrays (JSON that comes in has no bound, and what writes it recurses), or
 * else holds a number that JSON cannot write, which `1e999` is read as.
 */
function peculiarityOf(value: object, levels: number): "deep" | "infinite" | null {
  if (levels === 0) return "deep";
  let found: "infinite" | null = null;
  for (const member of Object.values(value)) {
    if (typeof member === "number" && !Number.isFinite(member)) found = "infinite";
    if (typeof member !== "object" || member === null) continue;
    const below = peculiarityOf(member, levels - 1);
    if (below === "deep") return "deep";
    found ??= below;
  }
  return found;
}

function textFault(value: unknown, min: number, max: number): string | null {
  if (typeof value !== "string") return "must be a string";
  if (value.length < min) return "must not be empty";
  // UTF-8 needs at most three bytes for each UTF-16 unit, so most texts need no counting.
  if (value.length * 3 > max && Buffer.byteLength(value) > max) return `must be at most ${max} bytes of UTF-8`;
  return value.isWellFormed() ? null : "must be well-formed Unicode";
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
