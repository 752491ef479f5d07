import { ALERT_HISTORY_MAX, ALERT_LOG_MAX, ALERT_LOG_MS, ALERTS_MAX } from "../../core/limits.ts";
import type { RedisClient } from "../client.ts";
import { ALERTS, alertKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

export interface StoredAlert {
  readonly id: string;
  readonly version: number;
  /** JSON. */
  readonly text: string;
}

function parseStored(id: string, stored: string): StoredAlert {
  const space = stored.indexOf(" ");
  return { id, version: Number(stored.slice(0, space)), text: stored.slice(space + 1) };
}

/** Raised by every change of any rule. */
export async function readAlertsVersion(client: RedisClient): Promise<number> {
  return Number((await client.hget(ALERTS.rules, "=version")) ?? 0);
}

/** All rules, and the version that they make up together. */
export async function readAlerts(client: RedisClient): Promise<{ version: number; alerts: StoredAlert[] }> {
  const { "=version": version = "0", ...fields } = await client.hgetall(ALERTS.rules);
  return { version: Number(version), alerts: Object.entries(fields).map(([id, text]) => parseStored(id, text)) };
}

export async function readAlertIds(client: RedisClient): Promise<string[]> {
  return (await client.hkeys(ALERTS.rules)).filter((id) => id !== "=version");
}

export async function readAlert(client: RedisClient, id: string): Promise<StoredAlert | null> {
  const stored = id.startsWith("=") ? null : await client.hget(ALERTS.rules, id);
  return stored === null ? null : parseStored(id, stored);
}

/** What a transition writes for one instance; texts are JSON. */
export interface InstanceChange {
  readonly instance: string;
  /** The state as it was read, `""` for none. */
  readonly expected: string;
  readonly next: string;
  readonly recorded?: { readonly id: string; readonly event: string; readonly outcome: string };
  readonly due: readonly { readonly id: string; readonly event: string }[];
}

export interface TransitionRequest {
  readonly id: string;
  /** The version that the caller knows, 0 for a new rule. */
  readonly version: number;
  /** The rule's new text; absent: it stays. */
  readonly text?: string;
  readonly changes: readonly InstanceChange[];
  /** Delivery of an event that is due, JSON. */
  readonly waiting: string;
  readonly now: number;
}

export type TransitionOutcome =
  | { readonly kind: "changed" | "full" }
  | { readonly kind: "ok"; readonly version: number; readonly made: readonly boolean[] };

/** Advances instances of a rule, and makes or changes the rule, by compare-and-set; see lua/transition.lua. */
export async function transition(
  client: RedisClient,
  scripts: Scripts,
  { id, version, text, changes, waiting, now }: TransitionRequest,
): Promise<TransitionOutcome> {
  const { instances, history, deliveries, waiting: jobs } = alertKeys(id);
  const limits = { rulesMax: ALERTS_MAX, historyMax: ALERT_HISTORY_MAX, logMax: ALERT_LOG_MAX };
  const logMinId = String(Math.max(0, now - ALERT_LOG_MS));
  const keys = [ALERTS.rules, instances, history, deliveries, jobs, ALERTS.outbox, ALERTS.log];
  const packed = packForLua({ changes, waiting, ...limits, logMinId });
  const reply = (await scripts.get("transition").run(client, keys, [id, version, text ?? "", packed])) as string[];
  if (reply[0] !== "ok") return { kind: reply[0] as "changed" | "full" };
  return { kind: "ok", version: Number(reply[1]), made: [...(reply[2] ?? "")].map((flag) => flag === "1") };
}

export async function deleteAlert(client: RedisClient, scripts: Scripts, id: string): Promise<boolean> {
  const { instances, history, deliveries, waiting } = alertKeys(id);
  const keys = [ALERTS.rules, instances, history, deliveries, waiting];
  return (await scripts.get("delete-alert").run(client, keys, [id])) === 1;
}

/** Takes or renews the evaluator's lease; `ms` 0 gives it up. */
export async function holdLease(client: RedisClient, scripts: Scripts, token: string, ms: number): Promise<boolean> {
  return (await scripts.get("hold").run(client, [ALERTS.lease], [token, ms])) === 1;
}

/** What is to be delivered, as it lies in the outbox. */
export interface Outgoing {
  /** Of the stream entry. */
  readonly entry: string;
  readonly job: string;
  readonly rule: string;
  readonly instance: string;
  /** JSON. */
  readonly event: string;
}

/** The oldest entries of the outbox. */
export async function readOutbox(client: RedisClient, limit: number): Promise<Outgoing[]> {
  const entries = await client.xrange(ALERTS.outbox, "-", "+", "COUNT", limit);
  return entries.map(([entry, fields]) => {
    const [, job = "", , rule = "", , instance = "", , event = ""] = fields;
    return { entry, job, rule, instance, event };
  });
}

export async function dropFromOutbox(client: RedisClient, entries: readonly string[]): Promise<void> {
  if (entries.length > 0) await client.xdel(ALERTS.outbox, ...entries);
}

/** A job of an instance that is not done. */
export interface WaitingJob {
  readonly rule: string;
  readonly instance: string;
  readonly job: string;
}

/** Ids of the jobs of an instance that are not done, in order. */
export async function readWaiting(client: RedisClient, rule: string, instance: string): Promise<string[]> {
  return ((await client.hget(alertKeys(rule).waiting, instance)) ?? "").split(" ").filter((id) => id !== "");
}

export interface Settlement extends WaitingJob {
  readonly event: string;
  /** JSON. */
  readonly delivery: string;
  readonly isDone: boolean;
}

/** Writes down how an attempt went; answers the job that may go next. See lua/settle.lua. */
export async function settle(client: RedisClient, scripts: Scripts, settlement: Settlement): Promise<string | null> {
  const { rule, instance, job, event, delivery, isDone } = settlement;
  const { deliveries, waiting } = alertKeys(rule);
  const args = [rule, instance, job, event, delivery, isDone ? "done" : ""];
  const next = await scripts.get("settle").run(client, [ALERTS.rules, deliveries, waiting], args);
  return (next as string) || null;
}

export interface ResendRequest {
  readonly rule: string;
  readonly instance: string;
  readonly id: string;
  readonly job: string;
  /** Texts are JSON. */
  readonly event: string;
  readonly expected: string;
  readonly delivery: string;
}

/** Queues an event once more; `false` when it is no more what the caller saw. See lua/resend.lua. */
export async function resend(client: RedisClient, scripts: Scripts, request: ResendRequest): Promise<boolean> {
  const { rule, instance, id, job, event, expected, delivery } = request;
  const { deliveries, waiting } = alertKeys(rule);
  const keys = [ALERTS.rules, deliveries, waiting, ALERTS.outbox];
  return (await scripts.get("resend").run(client, keys, [rule, instance, id, job, event, expected, delivery])) === 1;
}

/** One transition of a rule's history, and how its delivery stands; texts are JSON. */
export interface HistoryEntry {
  readonly ref: string;
  readonly event: string;
  readonly delivery: string | null;
}

/** Newest first, before `before` where it is given. */
export async function readHistory(
  client: RedisClient,
  id: string,
  before: string | null,
  limit: number,
): Promise<HistoryEntry[]> {
  const { history, deliveries } = alertKeys(id);
  const entries = await client.xrevrange(history, before === null ? "+" : `(${before}`, "-", "COUNT", limit);
  if (entries.length === 0) return [];
  const found = await client.hmget(deliveries, ...entries.map(([, fields]) => fields[1] as string));
  return entries.map(([ref, fields], i) => ({ ref, event: fields[3] as string, delivery: found[i] ?? null }));
}

/** Transitions of all rules after an id of the log, oldest first; without one the newest. */
export async function readLog(
  client: RedisClient,
  after: string | null,
  limit: number,
): Promise<{ id: string; event: string }[]> {
  const entries =
    after === null
      ? (await client.xrevrange(ALERTS.log, "+", "-", "COUNT", limit)).reverse()
      : await client.xrange(ALERTS.log, `(${after}`, "+", "COUNT", limit);
  return entries.map(([id, fields]) => ({ id, event: fields[1] as string }));
}
