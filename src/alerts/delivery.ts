/**
 * How the delivery of an event stands.
 * `none`: the rule has no webhook, or a disabled one. `silenced`: held back. `waiting`: on its way. `retrying`: failed
 * so far. `delivered`: answered 2xx. `dead`: given up, to be sent again by hand.
 */
export interface Delivery {
  readonly outcome: "none" | "silenced" | "waiting" | "retrying" | "delivered" | "dead";
  /** Of the present job. */
  readonly attempts?: number;
  /** The receiver's last answer. */
  readonly status?: number;
  readonly detail?: string;
  /** Of the last attempt, RFC 3339. */
  readonly time?: string;
  /** How often it was sent again by hand. */
  readonly resends?: number;
}

export const WAITING = JSON.stringify({ outcome: "waiting" } satisfies Delivery);

/** A job's id is its event's, with the number of the resend where there was one. */
export function jobId(event: string, resends: number): string {
  return resends === 0 ? event : `${event}.${resends}`;
}

export function parseJobId(job: string): { readonly event: string; readonly resends: number } {
  const [event = "", resends = "0"] = job.split(".");
  return { event, resends: Number(resends) };
}
