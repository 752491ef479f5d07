import { Ajv, type ValidateFunction } from "ajv";
import { type Static, Type } from "typebox";
import { isObject } from "../core/event.ts";
import { Problem } from "../core/problem.ts";
import { QuerySchema } from "../query/query.ts";
import { EVERY_DEFAULT, EVERY_MAX_MS, EVERY_MIN_MS } from "./limits.ts";

/** Frames of `GET /v1/live`, JSON text both ways; docs/live.md describes them. */

const Id = Type.String({ minLength: 1, maxLength: 128, description: "Names the subscription in all its frames" });
const Every = Type.Optional(Type.String({ description: "At most one update per so long, 100ms to 1m" }));

/** An entry of the log of transitions, or a transition. */
const RESUME_POINT = "^(\\d{1,15}-\\d{1,15}|evt_[0-9A-Z]{26})$";

export const SubscriptionSchema = Type.Union([
  Type.Object({ ...QuerySchema.properties, every: Every }),
  Type.Object({
    feed: Type.Literal("alerts"),
    after: Type.Optional(
      Type.String({
        pattern: RESUME_POINT,
        description: "Id of the last transition that was seen, or `last` of a frame",
      }),
    ),
    every: Every,
  }),
  Type.Object({ feed: Type.Literal("stats"), every: Every }),
]);

/** What is subscribed to: a lookup's parameters, or one of the feeds that have no counter. */
export type Subscription = Static<typeof SubscriptionSchema>;

const FEEDS = ["value", "series", "top", "alerts", "stats"];
const ajv = new Ajv({ strict: false });
const isId = ajv.compile(Id);
const [isQuery, isAlerts, isStats] = SubscriptionSchema.anyOf.map((branch) => ajv.compile(branch)) as [
  ValidateFunction,
  ValidateFunction,
  ValidateFunction,
];

export type Request =
  | { readonly op: "subscribe"; readonly id: string; readonly subscription: Subscription }
  | { readonly op: "unsubscribe"; readonly id: string };

/** A frame that cannot be followed; `id` where it names a subscription. */
export class FrameFault extends Error {
  readonly id: string | null;
  readonly problem: Problem;

  constructor(id: string | null, problem: Problem) {
    super(problem.message);
    this.id = id;
    this.problem = problem;
  }
}

/** Throws a FrameFault. */
export function parseFrame(text: string): Request {
  const frame = parseJson(text);
  const { op, id, ...rest } = frame;
  if (!isId(id)) {
    throw new FrameFault(null, new Problem("invalid_parameter", "id: must be a string of 1 to 128 characters"));
  }
  try {
    if (op === "unsubscribe") return { op, id: id as string };
    if (op === "subscribe") return { op, id: id as string, subscription: parseSubscription(rest) };
    throw new Problem("invalid_parameter", "op: must be subscribe or unsubscribe");
  } catch (error) {
    throw new FrameFault(id as string, error as Problem);
  }
}

function parseJson(text: string): Record<string, unknown> {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    throw new FrameFault(null, new Problem("bad_request", "the frame is not valid JSON"));
  }
  if (isObject(frame)) return frame;
  throw new FrameFault(null, new Problem("bad_request", "the frame must hold a JSON object"));
}

/** Throws a Problem that names the field and its rule. */
export function parseSubscription(input: Readonly<Record<string, unknown>>): Subscription {
  const { feed } = input;
  if (!FEEDS.includes(feed as string)) {
    throw new Problem("invalid_parameter", `feed: must be one of ${FEEDS.join(", ")}`);
  }
  const validate = feed === "alerts" ? isAlerts : feed === "stats" ? isStats : isQuery;
  if (!validate(input)) {
    const { instancePath = "", message = "is invalid" } = validate.errors?.[0] ?? {};
    throw new Problem("invalid_parameter", instancePath ? `${instancePath.slice(1)}: ${message}` : message);
  }
  const subscription = input as Subscription;
  parseEvery(subscription.every);
  return subscription;
}

const EVERY = /^([1-9]\d{0,5})(ms|s|m)$/;
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000 } as const;

/** `"100ms"`, `"1s"`, `"1m"` → milliseconds. Throws a Problem. */
export function parseEvery(text: string = EVERY_DEFAULT): number {
  const match = EVERY.exec(text);
  const ms = match ? Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS] : 0;
  if (ms >= EVERY_MIN_MS && ms <= EVERY_MAX_MS) return ms;
  throw new Problem("invalid_parameter", "every: must be <n>ms, <n>s or <n>m, from 100ms to 1m");
}

/** What a viewer is told, before a transport has put it into its own form. */
export interface Frame {
  /** `null`: of no subscription that is known. */
  readonly id: string | null;
  readonly event: "snapshot" | "update" | "error";
  /** Counts the subscription's answers from 0; an error has none. */
  readonly seq?: number;
  /** Where a viewer that comes again may go on, of a feed that leaves nothing out. */
  readonly resume?: string;
  /** JSON: the data, the same text for all who look at it; of an error the problem document. */
  readonly body: string;
}

export function frameText({ id, event, seq, body }: Frame): string {
  const named = id === null ? "" : `"id":${JSON.stringify(id)},`;
  if (event === "error") return `{${named}"event":"error","problem":${body}}`;
  return `{${named}"event":"${event}","seq":${seq},"data":${body}}`;
}
