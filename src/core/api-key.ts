import { hash } from "node:crypto";
import { Ajv } from "ajv";
import { type Static, Type } from "typebox";
import { parseDuration } from "./duration.ts";
import { isObject } from "./event.ts";
import { DURATION_RULE, type FieldFault, shapeFaults } from "./faults.ts";
import { parseRate, RATE_RULE } from "./rate.ts";

/** What a key allows: to send events; to look up and follow; to change what is counted, alerted and kept, and keys. */
export const SCOPES = ["ingest", "read", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** What is known of a key: everything but the key. */
export interface ApiKey {
  /** The first 16 digits of the hash: names the key in logs and lists, and says nothing of it. */
  readonly id: string;
  readonly name: string;
  /** SHA-256 of the key, in hex. */
  readonly hash: string;
  readonly scopes: readonly Scope[];
  /** Epoch ms; `null`: never. */
  readonly expiresAt: number | null;
  /** As it was written, `"1000/s"`; `null`: the service's. */
  readonly rateLimit: string | null;
}

const ID_DIGITS = 16;

export const hashKey = (key: string): string => hash("sha256", key, "hex");

export const idOfHash = (digits: string): string => digits.slice(0, ID_DIGITS);

export const KeyName = Type.String({ minLength: 1, maxLength: 128 });
export const ScopeList = Type.Array(Type.Union(SCOPES.map((scope) => Type.Literal(scope))), {
  minItems: 1,
  uniqueItems: true,
});
export const RateLimit = Type.String({ description: "Events, and requests of other kinds, for instance 1000/s" });

/** What a client says of a key that is to be made. */
export const ApiKeyInput = Type.Object(
  {
    name: KeyName,
    scopes: ScopeList,
    expires: Type.Optional(Type.String({ description: "How long it is valid, for instance 90d; default: for ever" })),
    rateLimit: Type.Optional(RateLimit),
  },
  { additionalProperties: false },
);

const validateShape = new Ajv({ allErrors: true, strict: false }).compile(ApiKeyInput);

/** What a client wrote → a key without what makes it one, or all faults at once. `now` is epoch ms. */
export function parseApiKey(value: unknown, now: number): Omit<ApiKey, "id" | "hash"> | FieldFault[] {
  if (!isObject(value)) return [{ field: "", detail: "an API key must be a JSON object" }];
  const faults = validateShape(value) ? [] : scopeFaults(shapeFaults(validateShape.errors, "an API key"));
  const { name, scopes, expires, rateLimit } = value as Partial<Static<typeof ApiKeyInput>>;
  const validMs = typeof expires === "string" ? parseDuration(expires) : undefined;
  if (validMs === null) faults.push({ field: "expires", detail: DURATION_RULE });
  faults.push(...rateFaults(rateLimit));
  if (faults.length > 0) return faults;
  return {
    name: name as string,
    scopes: scopes as Scope[],
    expiresAt: validMs === undefined || validMs === null ? null : now + validMs,
    rateLimit: rateLimit ?? null,
  };
}

export function rateFaults(rateLimit: unknown): FieldFault[] {
  return typeof rateLimit === "string" && !parseRate(rateLimit) ? [{ field: "rateLimit", detail: RATE_RULE }] : [];
}

/** Ajv tells of the literals of a union one by one, without naming them. */
export function scopeFaults(faults: readonly FieldFault[]): FieldFault[] {
  const isOfScopes = ({ field }: FieldFault) => field.split(".")[0] === "scopes";
  const others = faults.filter((fault) => !isOfScopes(fault));
  if (others.length === faults.length) return others;
  return [...others, { field: "scopes", detail: `must be a list of some of ${SCOPES.join(", ")}, each once` }];
}
