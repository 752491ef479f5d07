import { formatTime } from "../core/time.ts";
import type { Span } from "../query/span.ts";
import type { Rule } from "./rule.ts";

export type AlertEventType = "firing" | "resolved";

/** Before the ULID of an event. */
export const EVENT_ID_PREFIX = "evt_";

/** A transition of one instance of a rule, as it is recorded, shown and delivered. Times are RFC 3339. */
export interface AlertEvent {
  /** Unique and stable: the `webhook-id` of its message. */
  readonly id: string;
  readonly type: AlertEventType;
  readonly time: string;
  /** Id of the rule. */
  readonly alert: string;
  readonly name: string;
  readonly counter: string;
  /** `null` for the total. */
  readonly key: readonly string[] | null;
  readonly measure: string;
  readonly op: string;
  readonly threshold: number;
  readonly compare?: "previous";
  /** `null` when there was none: the counter is empty, or the span before was. */
  readonly value: number | null;
  /** The span of the value; `null` when the rule was changed instead of evaluated. */
  readonly from: string | null;
  readonly to: string | null;
  /** Since when it fires, or fired. */
  readonly since: string;
  /** Of a resolve: the id of the firing that it ends. */
  readonly firing?: string;
  /** Of a resolve: the value did not end it, the rule was put on something else. */
  readonly reason?: "changed";
}

/** What a transition of an instance knows beside its rule. */
export interface Occasion {
  readonly id: string;
  readonly now: number;
  readonly key: readonly string[] | null;
  readonly value: number | null;
  readonly span: Span | null;
}

export function makeEvent(
  rule: Rule,
  { id, now, key, value, span }: Occasion,
  transition: { readonly type: AlertEventType; readonly since: number; readonly firing?: string },
): AlertEvent {
  const { name, counter, measure, op, threshold, compare } = rule.definition;
  const { type, since, firing } = transition;
  return {
    id,
    type,
    time: formatTime(now),
    alert: rule.id,
    name,
    counter,
    key,
    measure,
    op,
    threshold,
    ...(compare && { compare }),
    value,
    from: span && formatTime(span.from),
    to: span && formatTime(span.to),
    since: formatTime(since),
    ...(firing && { firing }),
    ...(span === null && { reason: "changed" }),
  };
}
