import { encodeKey } from "../core/key.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { type HistoryEntry, readHistory, resend } from "../redis/commands/alerts.ts";
import { ownerText } from "../redis/keys.ts";
import { type Delivery, jobId } from "./delivery.ts";
import type { EditDependencies } from "./edit.ts";
import type { AlertEvent } from "./event.ts";

export interface ShownEvent extends AlertEvent {
  readonly delivery: Delivery;
}

export interface HistoryPage {
  readonly events: readonly ShownEvent[];
  readonly cursor: string | null;
}

/** Entries looked at for one page, and in one go when one event is searched for. */
const PAGE = 100;

/** The transitions of a rule, newest first; with `outcome`, those whose delivery stands so. */
export async function listEvents(
  client: RedisClient,
  id: string,
  cursor: string | undefined,
  outcome: string | undefined,
): Promise<HistoryPage> {
  if (cursor !== undefined && !/^\d+-\d+$/.test(cursor)) {
    throw new Problem("invalid_parameter", `cursor: "${cursor}" is not one that an answer gave`);
  }
  const entries = await readHistory(client, id, cursor ?? null, PAGE);
  const events = entries.map(show).filter(({ delivery }) => outcome === undefined || delivery.outcome === outcome);
  return { events, cursor: entries.length === PAGE ? (entries.at(-1)?.ref ?? null) : null };
}

function show({ event, delivery }: HistoryEntry): ShownEvent {
  return { ...(JSON.parse(event) as AlertEvent), delivery: parseDelivery(delivery) };
}

const parseDelivery = (text: string | null): Delivery => (text ? JSON.parse(text) : { outcome: "none" });

/** Delivers an event once more; throws a Problem when it is under way or not there. */
export async function resendEvent({ client, scripts }: EditDependencies, rule: string, id: string): Promise<void> {
  const entry = await findEntry(client, rule, id);
  if (!entry?.delivery) throw new Problem("not_found", `alert "${rule}" has no event "${id}"`);
  const { outcome, resends = 0 } = parseDelivery(entry.delivery);
  const isUnderWay = outcome === "waiting" || outcome === "retrying";
  const event = JSON.parse(entry.event) as AlertEvent;
  const next: Delivery = { outcome: "waiting", resends: resends + 1 };
  const request = {
    rule,
    instance: ownerText(event.key === null ? "total" : { key: encodeKey(event.key) }),
    id,
    job: jobId(id, resends + 1),
    event: entry.event,
    expected: entry.delivery,
    delivery: JSON.stringify(next),
  };
  if (isUnderWay || !(await resend(client, scripts, request))) {
    throw new Problem("alert_conflict", `event "${id}" is on its way`);
  }
}

/** `null` when the history of the rule holds the event no more. */
export async function findEntry(client: RedisClient, rule: string, id: string): Promise<HistoryEntry | null> {
  for (let before: string | null = null; ; ) {
    const entries: HistoryEntry[] = await readHistory(client, rule, before, PAGE);
    const found = entries.find(({ event }) => (JSON.parse(event) as AlertEvent).id === id);
    if (found) return found;
    if (entries.length < PAGE) return null;
    before = entries.at(-1)?.ref ?? null;
  }
}
