import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { isObject, Rejection } from "../core/event.ts";
import { REQUEST_BYTES_MAX, REQUEST_EVENTS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";

const gunzipAsync = promisify(gunzip);

/** What a request carries for one event: a JSON value, or why it is none. */
export type Candidate = { readonly value: unknown } | Rejection;

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** Undoes `content-encoding`; a body that unpacks to more than a request may hold is refused. */
export async function decompress(body: Buffer, encoding: string | undefined): Promise<Buffer> {
  if (!encoding || encoding === "identity") return body;
  if (encoding.toLowerCase() !== "gzip") {
    throw new Problem("unsupported_media_type", `content-encoding: "${encoding}" is not supported, gzip is`);
  }
  try {
    return await gunzipAsync(body, { maxOutputLength: REQUEST_BYTES_MAX });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      throw new Problem("too_large", `the body must be at most ${REQUEST_BYTES_MAX} bytes when decompressed`);
    }
    throw new Problem("bad_request", "the body is not valid gzip");
  }
}

/** Body of any supported media type → one candidate an event, in order. */
export function decodeBody(body: Buffer, mediaType: string, headers: Headers): Candidate[] {
  const candidates = decodeAs(body, mediaType, headers);
  if (candidates.length > REQUEST_EVENTS_MAX) {
    throw new Problem("too_large", `a request must hold at most ${REQUEST_EVENTS_MAX} events`);
  }
  return candidates;
}

function decodeAs(body: Buffer, mediaType: string, headers: Headers): Candidate[] {
  if (mediaType === "application/x-ndjson") return decodeLines(body.toString());
  const text = body.toString();
  if (mediaType === "application/json" && isBinaryMode(headers)) return [decodeBinaryMode(text, headers)];
  const parsed = parseJson(text);
  if (parsed instanceof Rejection) return [parsed];
  if (mediaType === "application/cloudevents+json") return [{ value: parsed.value }];
  if (mediaType === "application/cloudevents-batch+json" && !Array.isArray(parsed.value)) {
    return [new Rejection("invalid_event", "a CloudEvents batch must be a JSON array")];
  }
  return Array.isArray(parsed.value) ? parsed.value.map((value) => ({ value })) : [parsed];
}

function decodeLines(text: string): Candidate[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(parseJson);
}

function parseJson(text: string): { value: unknown } | Rejection {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return new Rejection("invalid_event", `not valid JSON: ${(error as Error).message}`);
  }
}

/** CloudEvents HTTP binding 1.0.2, section 3.1: attributes in `ce-` headers, the body is the data. */
function isBinaryMode(headers: Headers): boolean {
  return headers["ce-specversion"] !== undefined || headers["ce-type"] !== undefined || headers["ce-id"] !== undefined;
}

const BINARY_ATTRIBUTES = ["specversion", "id", "source", "type", "time", "subject"];

function decodeBinaryMode(body: string, headers: Headers): Candidate {
  const event: Record<string, unknown> = {};
  for (const name of BINARY_ATTRIBUTES) {
    const value = headers[`ce-${name}`];
    if (typeof value === "string") event[name] = percentDecode(value);
  }
  if (body === "") return { value: event };
  const data = parseJson(body);
  if (data instanceof Rejection) return new Rejection("invalid_data", `data: ${data.detail}`);
  if (!isObject(data.value)) return new Rejection("invalid_data", "data: must be an object where given");
  return { value: { ...event, data: data.value } };
}

/** Header values outside printable ASCII are percent-encoded UTF-8 (section 3.1.3.2); anything else is left as it is. */
function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
