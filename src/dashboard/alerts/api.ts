import type { Key, Measure } from "../api.ts";
import { RequestFailed, request } from "../rest.ts";

export type AlertState = "inactive" | "pending" | "firing" | "stale";

/** What a viewer writes. */
export interface AlertRule {
  readonly name: string;
  readonly counter: string;
  /** `null`: the total; `"*"`: each key on its own. */
  readonly key: Key | null | "*";
  readonly measure: Measure;
  readonly last: string;
  readonly op: ">" | ">=" | "<" | "<=";
  readonly threshold: number;
  readonly for?: string;
  readonly resolve?: number;
  readonly keepFiring?: string;
  readonly noData?: "ok" | "firing";
  readonly compare?: "previous";
  /** The secret is answered when it was just made, and never again. */
  readonly webhook?: { readonly url: string; readonly format?: string; readonly secret?: string };
}

/** One key of a rule on `"*"` that is not inactive. */
export interface Instance {
  readonly key: Key | null;
  readonly state: AlertState;
  readonly since: string;
  readonly value: number | null;
}

export interface Alert extends AlertRule {
  readonly id: string;
  readonly state: AlertState;
  readonly since: string | null;
  readonly value: number | null;
  readonly silencedUntil: string | null;
  readonly instances?: readonly Instance[];
  /** There are more keys than the rule watches. */
  readonly overflow?: boolean;
}

export interface AlertEvent {
  readonly id: string;
  readonly type: "firing" | "resolved";
  readonly time: string;
  readonly key: Key | null;
  readonly value: number | null;
  readonly delivery: { readonly outcome: string };
}

/** Alerts on one page of the list; nobody reads more on a wall. */
const LIST_MAX = 1_000;

const path = (id: string) => `/v1/alerts/${encodeURIComponent(id)}`;

export const alertsApi = {
  /** `null`: this service has no alerts. */
  list: async (signal: AbortSignal): Promise<readonly Alert[] | null> => {
    try {
      return (await request<{ alerts: Alert[] }>(`/v1/alerts?limit=${LIST_MAX}`, { signal })).alerts;
    } catch (error) {
      if (error instanceof RequestFailed && error.status === 404) return null;
      throw error;
    }
  },
  save: (rule: AlertRule, id: string | null): Promise<Alert> =>
    id === null
      ? request("/v1/alerts", { method: "POST", body: rule })
      : request(path(id), { method: "PUT", body: rule }),
  remove: (id: string): Promise<void> => request(path(id), { method: "DELETE" }),
  silence: (id: string, duration: string): Promise<unknown> =>
    request(`${path(id)}/silence`, { method: "POST", body: { for: duration } }),
  unsilence: (id: string): Promise<unknown> => request(`${path(id)}/silence`, { method: "DELETE" }),
  events: async (id: string, signal: AbortSignal): Promise<readonly AlertEvent[]> =>
    (await request<{ events: AlertEvent[] }>(`${path(id)}/events`, { signal })).events,
};
