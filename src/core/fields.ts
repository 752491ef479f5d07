import type { Event } from "./event.ts";

/** A field of an event that a counter may use: an attribute, or a path into `data`. */
export type FieldPath = readonly [attribute: "id" | "source" | "type" | "subject" | "data", ...path: string[]];

const ATTRIBUTES = new Set(["id", "source", "type", "subject"]);

/** `"subject"`, `"data.country"` → path, or `null` when it is none. */
export function parseFieldPath(text: string): FieldPath | null {
  if (ATTRIBUTES.has(text)) return [text] as unknown as FieldPath;
  const parts = text.split(".");
  if (parts[0] !== "data" || parts.length < 2 || parts.some((part) => part === "")) return null;
  return parts as unknown as FieldPath;
}

/** The value at a path; `undefined` when there is none. Only own properties count, so `__proto__` finds nothing. */
export function readField(event: Event, path: FieldPath): unknown {
  let value: unknown = event[path[0]];
  for (let i = 1; i < path.length; i++) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, path[i] as string)) return undefined;
    value = (value as Record<string, unknown>)[path[i] as string];
  }
  return value;
}

/** Strings as they are, numbers and booleans as their JSON text, `null` for anything else. */
export function scalarText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return null;
}
