import { Ajv } from "ajv";
import { type Static, Type } from "typebox";
import {
  type ApiKey,
  hashKey,
  idOfHash,
  KeyName,
  RateLimit,
  rateFaults,
  type Scope,
  ScopeList,
  scopeFaults,
} from "./api-key.ts";
import { isObject } from "./event.ts";
import { type FieldFault, shapeFaults } from "./faults.ts";
import { parseRfc3339 } from "./time.ts";

/** An entry of a file of keys: `key`, or `hash`, with which the file holds no secret. */
const Entry = Type.Object(
  {
    name: KeyName,
    key: Type.Optional(Type.String()),
    hash: Type.Optional(Type.String()),
    scopes: ScopeList,
    expiresAt: Type.Optional(Type.String()),
    rateLimit: Type.Optional(RateLimit),
  },
  { additionalProperties: false },
);

const validateShape = new Ajv({ allErrors: true, strict: false }).compile(Entry);

/** At least 128 bits where the characters are random, which is what makes a plain hash enough. */
const KEY = /^tm_[A-Za-z0-9_-]{32,128}$/;
const HASH = /^[0-9a-f]{64}$/;

/** The JSON of a file of keys → its keys, or every fault in it, each naming entry and field. */
export function parseKeysFile(value: unknown): {
  readonly keys: readonly ApiKey[];
  readonly faults: readonly string[];
} {
  if (!Array.isArray(value)) return { keys: [], faults: ["must hold a JSON array of keys"] };
  const faults: string[] = [];
  const keys = new Map<string, ApiKey>();
  for (const [i, entry] of value.entries()) {
    const parsed = parseEntry(entry);
    if (Array.isArray(parsed)) {
      faults.push(...parsed.map(({ field, detail }) => `[${i}]${field && `.${field}`}: ${detail}`));
      continue;
    }
    const same = keys.get(parsed.hash);
    if (same) faults.push(`[${i}]: is the same key as that of "${same.name}"`);
    keys.set(parsed.hash, parsed);
  }
  return { keys: [...keys.values()], faults };
}

function parseEntry(value: unknown): ApiKey | FieldFault[] {
  if (!isObject(value)) return [{ field: "", detail: "must be an object" }];
  const faults = validateShape(value) ? [] : scopeFaults(shapeFaults(validateShape.errors, "a key"));
  const { name, key, hash: given, scopes, expiresAt, rateLimit } = value as Partial<Static<typeof Entry>>;
  if ((key === undefined) === (given === undefined)) faults.push({ field: "", detail: "needs either key or hash" });
  if (typeof key === "string" && !KEY.test(key)) {
    faults.push({ field: "key", detail: "must be tm_ and 32 to 128 random characters of A-Z, a-z, 0-9, _ and -" });
  }
  if (typeof given === "string" && !HASH.test(given)) {
    faults.push({ field: "hash", detail: "must be the SHA-256 of the key, 64 hexadecimal digits" });
  }
  const expiry = typeof expiresAt === "string" ? parseRfc3339(expiresAt) : undefined;
  if (expiry === null) faults.push({ field: "expiresAt", detail: "must be an RFC 3339 time" });
  faults.push(...rateFaults(rateLimit));
  if (faults.length > 0) return faults;
  const hash = given ?? hashKey(key as string);
  return {
    id: idOfHash(hash),
    name: name as string,
    hash,
    scopes: scopes as Scope[],
    expiresAt: expiry ?? null,
    rateLimit: rateLimit ?? null,
  };
}
