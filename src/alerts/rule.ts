import { randomBytes } from "node:crypto";
import { Ajv } from "ajv";
import { type Static, Type } from "typebox";
import type { Counter } from "../core/counter.ts";
import { finestOf } from "../core/counter.ts";
import { parseDuration } from "../core/duration.ts";
import { isObject } from "../core/event.ts";
import { DURATION_RULE, type FieldFault, shapeFaults } from "../core/faults.ts";
import { ALERT_BUCKETS_MAX } from "../core/limits.ts";
import { bucketCeil, countBuckets, coverSpan } from "../core/window.ts";
import type { StoredAlert } from "../redis/commands/alerts.ts";
import { urlFault } from "./address.ts";

const oneOf = <T extends string[]>(...values: [...T]) => Type.Enum(values);

/** What a client writes. */
export const AlertInput = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 256 }),
    counter: Type.String(),
    key: Type.Optional(
      Type.Union([Type.Array(Type.String(), { maxItems: 8 }), Type.Null(), Type.Literal("*")], {
        description: 'One key, `null` for the total, `"*"` for each key on its own',
      }),
    ),
    measure: Type.Optional(oneOf("count", "sum", "unique")),
    last: Type.String({ description: "Length of the span, for instance 5m" }),
    op: oneOf(">", ">=", "<", "<="),
    threshold: Type.Number(),
    for: Type.Optional(Type.String({ description: "How long the condition must hold before it fires" })),
    resolve: Type.Optional(Type.Number({ description: "Once firing, it resolves when the value has passed this" })),
    keepFiring: Type.Optional(Type.String({ description: "How long it fires on after the condition has ended" })),
    noData: Type.Optional(oneOf("ok", "firing")),
    compare: Type.Optional(Type.Literal("previous", { description: "The value is the change in per cent" })),
    webhook: Type.Optional(
      Type.Object(
        {
          url: Type.String({ maxLength: 2_048 }),
          secret: Type.Optional(Type.String({ description: "whsec_ and 24 to 64 bytes in base64; absent: made" })),
          format: Type.Optional(oneOf("standard", "slack")),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type AlertInput = Static<typeof AlertInput>;

/** An input without faults, its defaults filled in. */
export type AlertDefinition = Omit<AlertInput, "webhook"> & Required<Pick<AlertInput, "key" | "measure">>;

export type WebhookInput = NonNullable<AlertInput["webhook"]>;

export interface Webhook {
  readonly url: string;
  readonly format: "standard" | "slack";
  readonly secret: string;
  /** The secret before, which signs as well until then, ms. */
  readonly previous?: { readonly secret: string; readonly until: number };
  /** The endpoint said that it is gone for good, ms. */
  readonly disabledAt?: number;
}

/** What is stored of a rule. */
export interface AlertRecord {
  readonly definition: AlertDefinition;
  readonly webhook: Webhook | null;
  /** Nothing is delivered before, ms. */
  readonly silencedUntil: number;
  readonly createdAt: number;
}

/** A rule ready for use. */
export interface Rule extends AlertRecord {
  readonly id: string;
  /** Raised by every change. */
  readonly version: number;
  readonly lastMs: number;
  readonly forMs: number;
  readonly keepFiringMs: number;
}

export function compileRule({ id, version, text }: StoredAlert): Rule {
  const record = JSON.parse(text) as AlertRecord;
  const { last, for: wait, keepFiring } = record.definition;
  const ms = (duration: string | undefined) => (duration === undefined ? 0 : (parseWait(duration) as number));
  return { ...record, id, version, lastMs: ms(last), forMs: ms(wait), keepFiringMs: ms(keepFiring) };
}

/** A duration, or `0s`. */
function parseWait(text: string): number | null {
  return text === "0s" ? 0 : parseDuration(text);
}

const validateShape = new Ajv({ allErrors: true, strict: false }).compile(AlertInput);

export interface ParsedAlert {
  readonly definition: AlertDefinition;
  readonly webhook: WebhookInput | null;
}

/** An alert as a client wrote it → its parts, or all its faults at once. */
export function parseAlert(
  value: unknown,
  find: (name: string) => Counter | undefined,
  allowPrivate: boolean,
): ParsedAlert | FieldFault[] {
  if (!isObject(value)) return [{ field: "", detail: "an alert must be a JSON object" }];
  if (!validateShape(value)) return shapeFaults(validateShape.errors, "an alert");
  const { webhook = null, ...rest } = value as AlertInput;
  const definition = { key: null, measure: "count" as const, ...rest };
  const counter = find(definition.counter);
  const faults = [
    ...durationFaults(definition),
    ...(counter ? counterFaults(definition, counter) : [{ field: "counter", detail: "is not the name of a counter" }]),
    ...resolveFaults(definition),
    ...(webhook ? webhookFaults(webhook, allowPrivate) : []),
  ];
  return faults.length > 0 ? faults : { definition, webhook };
}

function durationFaults({ last, for: wait, keepFiring }: AlertDefinition): FieldFault[] {
  const faults: FieldFault[] = [];
  if (parseDuration(last) === null) faults.push({ field: "last", detail: DURATION_RULE });
  for (const [field, text] of Object.entries({ for: wait, keepFiring })) {
    if (text !== undefined && parseWait(text) === null) faults.push({ field, detail: DURATION_RULE });
  }
  return faults;
}

/** Why a counter cannot be asked for what the rule is on; also for a counter that was made anew since. */
export function counterFaults({ key, measure, last }: AlertDefinition, counter: Counter): FieldFault[] {
  const faults: FieldFault[] = [];
  if (measure !== "count" && !counter[measure]) {
    faults.push({ field: "measure", detail: `counter "${counter.name}" keeps no ${measure}` });
  }
  if (key === "*" && counter.by.length === 0) {
    faults.push({ field: "key", detail: `counter "${counter.name}" counts by no field, so it has no keys` });
  }
  if (Array.isArray(key) && key.length !== counter.by.length) {
    const fields = counter.definition.by.join(", ") || "none";
    const detail = `must have one value for each field the counter counts by (${fields}), in order`;
    faults.push({ field: "key", detail });
  }
  const lastMs = parseDuration(last);
  if (lastMs !== null && bucketsOf(counter, lastMs) > ALERT_BUCKETS_MAX) {
    const detail = `makes up more than ${ALERT_BUCKETS_MAX} buckets of counter "${counter.name}", read every second`;
    faults.push({ field: "last", detail });
  }
  return faults;
}

const fitting = new WeakMap<Rule, Counter>();

/** Whether a rule can be evaluated on a counter; asked of every rule every second, so found out once. */
export function fits(rule: Rule, counter: Counter | undefined): counter is Counter {
  if (!counter) return false;
  if (fitting.get(rule) === counter) return true;
  const isFit = counterFaults(rule.definition, counter).length === 0;
  if (isFit) fitting.set(rule, counter);
  return isFit;
}

/** Buckets of a span that begins and ends just beside those of wider windows. */
function bucketsOf(counter: Counter, lastMs: number): number {
  const { ms } = finestOf(counter);
  return countBuckets(coverSpan(counter.windows, ms, ms + bucketCeil(lastMs, ms)));
}

function resolveFaults({ op, threshold, resolve }: AlertDefinition): FieldFault[] {
  if (resolve === undefined) return [];
  const isCalm = op.startsWith(">") ? resolve <= threshold : resolve >= threshold;
  const side = op.startsWith(">") ? "at most" : "at least";
  return isCalm ? [] : [{ field: "resolve", detail: `must be ${side} the threshold with ${op}` }];
}

const SECRET_BYTES = { min: 24, max: 64 } as const;
const SECRET_PREFIX = "whsec_";

function webhookFaults({ url, secret }: WebhookInput, allowPrivate: boolean): FieldFault[] {
  const faults: FieldFault[] = [];
  const fault = urlFault(url, allowPrivate);
  if (fault) faults.push({ field: "webhook.url", detail: fault });
  if (secret !== undefined && !isSecret(secret)) {
    faults.push({ field: "webhook.secret", detail: "must be whsec_ followed by 24 to 64 bytes in base64" });
  }
  return faults;
}

function isSecret(secret: string): boolean {
  const base64 = secret.slice(SECRET_PREFIX.length);
  const bytes = Buffer.from(base64, "base64");
  const { min, max } = SECRET_BYTES;
  const isExact = secret.startsWith(SECRET_PREFIX) && bytes.toString("base64") === base64;
  return isExact && bytes.length >= min && bytes.length <= max;
}

export function makeSecret(): string {
  return SECRET_PREFIX + randomBytes(SECRET_BYTES.min).toString("base64");
}

/** Fields that say what is measured: with another in one of them, instances start anew. */
const IDENTITY = ["counter", "key", "measure", "compare"] as const;

export function startsAnew(before: AlertDefinition, after: AlertDefinition): boolean {
  return IDENTITY.some((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]));
}
