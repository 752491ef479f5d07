import { isObject } from "../../core/event.ts";
import { NOTHING_ACCEPTED, type Outcome } from "./tally.ts";

/** What an answer of `POST /v1/events` means for the batch that was sent. */
export type Answer =
  | { readonly kind: "outcome"; readonly outcome: Outcome }
  /** The same request may succeed later. */
  | { readonly kind: "retry"; readonly reason: string; readonly retryAfter: string | null }
  /** A smaller request may succeed. */
  | { readonly kind: "too_large"; readonly detail: string }
  /** No further request would fare better. */
  | { readonly kind: "hopeless"; readonly reason: string };

/** 408: the service did not get the whole request in time, for instance over a slow line. */
const RETRYABLE = new Set([408, 429, 503]);
const HOPELESS = new Set([401, 403, 404]);

/** @param events how many the request held */
export async function readAnswer(response: Response, events: number): Promise<Answer> {
  const { status } = response;
  const body = parse(await response.text());
  const reason = describe(status, body);
  if (RETRYABLE.has(status)) return { kind: "retry", reason, retryAfter: response.headers.get("retry-after") };
  if (status === 413) return { kind: "too_large", detail: textOf(body, "detail") ?? "the request is too large" };
  if (HOPELESS.has(status)) return { kind: "hopeless", reason };
  if (status === 200 || status === 202) {
    const outcome = readOutcome(body, status === 202);
    return outcome
      ? { kind: "outcome", outcome }
      : { kind: "hopeless", reason: `${reason}, which is no answer of Tallymark` };
  }
  if (status < 400 || status >= 500) return { kind: "hopeless", reason };
  const detail = textOf(body, "detail") ?? `answered ${status}`;
  const code = textOf(body, "code") ?? `http_${status}`;
  const all = Array.from({ length: events }, (_, index) => ({ index, code, detail }));
  return { kind: "outcome", outcome: { ...NOTHING_ACCEPTED, rejected: readRejected(body) ?? all } };
}

function readOutcome(body: unknown, queuedOnly: boolean): Outcome | null {
  if (!isObject(body) || typeof body.accepted !== "number") return null;
  const number = (name: string) => (typeof body[name] === "number" ? (body[name] as number) : 0);
  const rejected = readRejected(body) ?? [];
  if (queuedOnly) return { ...NOTHING_ACCEPTED, accepted: body.accepted, pending: body.accepted, rejected };
  const { accepted } = body;
  const [applied, duplicates, late, dead] = [number("applied"), number("duplicates"), number("late"), number("dead")];
  return { accepted, applied, duplicates, late, dead, pending: 0, rejected };
}

function readRejected(body: unknown): Outcome["rejected"] | null {
  if (!isObject(body) || !Array.isArray(body.rejected) || body.rejected.length === 0) return null;
  return body.rejected.filter(isObject).map((entry) => ({
    index: Number(entry.index),
    code: textOf(entry, "code") ?? "rejected",
    detail: textOf(entry, "detail") ?? "",
  }));
}

function describe(status: number, body: unknown): string {
  const detail = textOf(body, "detail");
  return `answered ${status}${detail ? ` (${detail})` : ""}`;
}

function textOf(body: unknown, field: string): string | null {
  const value = isObject(body) ? body[field] : undefined;
  return typeof value === "string" ? value : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
