import { type Counter, finestOf } from "../core/counter.ts";
import { parseDuration } from "../core/duration.ts";
import { encodeKey } from "../core/key.ts";
import { TOP_LIMIT_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { Window } from "../core/window.ts";
import type { CellOwner } from "../redis/keys.ts";
import { parseSpan, type SpanParameters, type SpanRequest } from "./span.ts";

/** Parameters of a lookup, from a query string or from an element of `POST /v1/query`. */
export interface LookupParameters extends SpanParameters {
  readonly key?: string | readonly string[] | null | undefined;
  readonly other?: boolean | undefined;
  readonly window?: string | undefined;
  readonly limit?: number | undefined;
  readonly by?: string | undefined;
}

/** Whose numbers are asked for, and how an answer names them. */
export interface Subject {
  readonly owner: CellOwner;
  readonly shown: { readonly key: string[] | null; readonly other?: true };
}

export interface ValueRequest {
  readonly counter: Counter;
  readonly subject: Subject;
  readonly span: SpanRequest;
}

export interface SeriesRequest extends ValueRequest {
  readonly window: Window;
}

export interface TopRequest {
  readonly counter: Counter;
  readonly span: SpanRequest;
  readonly limit: number;
  readonly by: "count" | "sum";
}

export function parseValue(counter: Counter, parameters: LookupParameters): ValueRequest {
  return { counter, subject: parseSubject(counter, parameters), span: parseSpan(parameters) };
}

export function parseSeries(counter: Counter, parameters: LookupParameters): SeriesRequest {
  return { ...parseValue(counter, parameters), window: parseWindow(counter, parameters.window) };
}

export function parseTop(counter: Counter, parameters: LookupParameters): TopRequest {
  if (!counter.top) throw new Problem("top_disabled", `counter "${counter.name}" was made with "top": false`);
  const { limit = 10, by = "count" } = parameters;
  if (!Number.isInteger(limit) || limit < 1 || limit > TOP_LIMIT_MAX) {
    throw new Problem("invalid_parameter", `limit: must be a whole number from 1 to ${TOP_LIMIT_MAX}`);
  }
  if (by !== "count" && by !== "sum") throw new Problem("invalid_parameter", "by: must be count or sum");
  if (by === "sum" && !counter.sum) {
    throw new Problem("invalid_parameter", `by: counter "${counter.name}" keeps no sum`);
  }
  return { counter, span: parseSpan(parameters), limit, by };
}

function parseSubject(counter: Counter, { key, other }: LookupParameters): Subject {
  const values = key === undefined || key === null ? null : [key].flat();
  if (other) {
    if (values) throw new Problem("invalid_key", "key: cannot be combined with other");
    return { owner: "other", shown: { key: null, other: true } };
  }
  if (values === null) return { owner: "total", shown: { key: null } };
  if (values.length !== counter.by.length) {
    const fields = counter.definition.by.join(", ") || "none";
    throw new Problem("invalid_key", `key: give one value for each field the counter counts by (${fields}), in order`);
  }
  // A counter by no field has one series, which is its total.
  const owner = counter.by.length === 0 ? "total" : { key: encodeKey(values) };
  return { owner, shown: { key: values } };
}

function parseWindow(counter: Counter, label: string | undefined): Window {
  if (label === undefined) return finestOf(counter);
  const window = counter.windows.find(({ ms }) => ms === parseDuration(label));
  if (!window) {
    const labels = counter.windows.map((known) => known.label).join(", ");
    throw new Problem("invalid_window", `window: must be one of ${labels}`);
  }
  return window;
}
