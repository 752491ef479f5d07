import { parseDuration } from "../core/duration.ts";
import type { Key, Measure } from "./api.ts";

/** All that a viewer chose. It lives in the address, so that a link shows the same and back and forward work. */
export interface ViewState {
  /** Span of every panel, a duration. */
  readonly last: string;
  readonly paused: boolean;
  /** `null`: nothing chosen yet, show what there is. */
  readonly panels: readonly PanelState[] | null;
}

export interface PanelState {
  readonly counter: string;
  /** `null`: the finest that draws well. */
  readonly window: string | null;
  readonly measure: Measure;
  /** Whether the total over all keys is drawn. */
  readonly total: boolean;
  readonly keys: readonly Key[];
}

const LAST = "1h";
const MEASURES: readonly string[] = ["count", "sum", "unique"];
/** Keys drawn in one chart; there are as many colours beside the total's. */
export const KEYS_MAX = 7;

export const initialPanel = (counter: string): PanelState => ({
  counter,
  window: null,
  measure: "count",
  total: true,
  keys: [],
});

/**
 * Reads the query of an address. Parameters are in order: `show` begins a panel, and those behind it are the panel's.
 * What is not understood is left out: a mistyped link shows less, and never fails.
 */
export function parseView(search: string): ViewState {
  let last = LAST;
  let paused = false;
  const panels: PanelState[] = [];
  const change = (fields: Partial<PanelState>) => {
    const panel = panels.pop();
    if (panel) panels.push({ ...panel, ...fields });
  };
  for (const [name, value] of new URLSearchParams(search)) {
    if (name === "last" && parseDuration(value) !== null) last = value;
    else if (name === "paused") paused = value === "1";
    else if (name === "show") panels.push(initialPanel(value));
    else if (name === "window") change({ window: value });
    else if (name === "measure" && MEASURES.includes(value)) change({ measure: value as Measure });
    else if (name === "total") change({ total: value !== "0" });
    else if (name === "key") {
      const keys = panels.at(-1)?.keys ?? [];
      const key = parseKey(value);
      if (key && keys.length < KEYS_MAX) change({ keys: [...keys, key] });
    }
  }
  return { last, paused, panels: panels.length > 0 || new URLSearchParams(search).has("show") ? panels : null };
}

/** The query of an address that shows this, with its `?`; defaults are left out. */
export function formatView({ last, paused, panels }: ViewState): string {
  const query = new URLSearchParams();
  if (last !== LAST) query.append("last", last);
  if (paused) query.append("paused", "1");
  for (const { counter, window, measure, total, keys } of panels ?? []) {
    query.append("show", counter);
    if (window !== null) query.append("window", window);
    if (measure !== "count") query.append("measure", measure);
    if (!total) query.append("total", "0");
    for (const key of keys) query.append("key", JSON.stringify(key));
  }
  const text = query.toString();
  return text === "" ? "?" : `?${text}`;
}

/** A key travels as the JSON array that the API shows, which no key text can be mistaken for. */
function parseKey(text: string): Key | null {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((field) => typeof field === "string") ? value : null;
  } catch {
    return null;
  }
}

export const sameKey = (a: Key, b: Key): boolean => JSON.stringify(a) === JSON.stringify(b);
