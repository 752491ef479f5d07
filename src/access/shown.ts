import type { ApiKey, Scope } from "../core/api-key.ts";
import { formatTime } from "../core/time.ts";
import type { KeyRing } from "./key-ring.ts";

/** A key as lists show it: times in RFC 3339, and nothing that lets anybody in. */
export interface ShownKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: Scope[];
  readonly expiresAt: string | null;
  readonly rateLimit: string | null;
  /** `null`: of the file of keys. */
  readonly createdAt: string | null;
}

export function showKey({ id, name, scopes, expiresAt, rateLimit }: ApiKey, createdAt: number | null): ShownKey {
  const time = (at: number | null) => (at === null ? null : formatTime(at));
  return { id, name, scopes: [...scopes], expiresAt: time(expiresAt), rateLimit, createdAt: time(createdAt) };
}

/** Those of the file first, then in the order in which they were made. */
export function listKeys({ configured, stored }: Pick<KeyRing, "configured" | "stored">): ShownKey[] {
  return [...configured.map((key) => showKey(key, null)), ...stored.map((key) => showKey(key, key.createdAt))];
}
