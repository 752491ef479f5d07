import { ulid } from "ulid";
import type { Counter } from "../core/counter.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { deleteAlert, type InstanceChange, transition } from "../redis/commands/alerts.ts";
import type { Scripts } from "../redis/scripts.ts";
import { WAITING } from "./delivery.ts";
import { endInstance, type InstanceState } from "./evaluate.ts";
import { newEventId, shownKey, toChange } from "./evaluator.ts";
import { makeEvent } from "./event.ts";
import {
  type AlertRecord,
  compileRule,
  makeSecret,
  type ParsedAlert,
  type Rule,
  startsAnew,
  type Webhook,
  type WebhookInput,
} from "./rule.ts";
import { findRule, readInstances } from "./store.ts";

export interface EditDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
}

/** How long the secret before goes on signing, ms. */
const ROTATION_MS = 86_400_000;

export async function createRule(deps: EditDependencies, parsed: ParsedAlert, now: number): Promise<Rule> {
  const { definition, webhook } = parsed;
  const record = { definition, webhook: webhook && nextWebhook(webhook, null, now), silencedUntil: 0, createdAt: now };
  const id = ulid().toLowerCase();
  const rule = await write(deps, id, 0, record, [], now);
  if (!rule) throw new Problem("internal", "a new rule met an old one");
  return rule;
}

/**
 * Replaces a rule. Instances keep their state, so nothing that fires is called resolved for a changed threshold; only a
 * rule that is put on something else starts anew, and ends what was firing.
 */
export function replaceRule(
  deps: EditDependencies,
  id: string,
  parsed: ParsedAlert,
  find: (name: string) => Counter | undefined,
  now: number,
): Promise<Rule> {
  return edit(deps, id, now, async (rule) => {
    const webhook = parsed.webhook && nextWebhook(parsed.webhook, rule.webhook, now);
    const record = { ...recordOf(rule), definition: parsed.definition, webhook };
    const isNew = startsAnew(rule.definition, parsed.definition);
    return { record, changes: isNew ? await endings(deps, { ...rule, webhook }, find, now) : [] };
  });
}

export function silenceRule(deps: EditDependencies, id: string, until: number, now: number): Promise<Rule> {
  return edit(deps, id, now, async (rule) => ({ record: { ...recordOf(rule), silencedUntil: until }, changes: [] }));
}

/** The endpoint asked for it; a PUT opens it again. */
export async function disableWebhook(deps: EditDependencies, id: string, url: string, now: number): Promise<void> {
  await edit(deps, id, now, async (rule) => {
    const isSame = rule.webhook?.url === url;
    const webhook = isSame && rule.webhook ? { ...rule.webhook, disabledAt: now } : rule.webhook;
    return { record: { ...recordOf(rule), webhook }, changes: [] };
  }).catch((error) => {
    if (!(error instanceof Problem && error.code === "unknown_alert")) throw error;
  });
}

export async function removeRule({ client, scripts }: EditDependencies, id: string): Promise<void> {
  if (!(await deleteAlert(client, scripts, id))) throw unknownAlert(id);
}

export function unknownAlert(id: string): Problem {
  return new Problem("unknown_alert", `there is no alert "${id}"`);
}

interface Edit {
  readonly record: AlertRecord;
  readonly changes: readonly InstanceChange[];
}

/** Tries an edit against the newest version until nobody else's came between. */
async function edit(
  deps: EditDependencies,
  id: string,
  now: number,
  attempt: (rule: Rule) => Promise<Edit>,
): Promise<Rule> {
  for (;;) {
    const rule = await findRule(deps.client, id);
    if (!rule) throw unknownAlert(id);
    const { record, changes } = await attempt(rule);
    const written = await write(deps, id, rule.version, record, changes, now);
    if (written) return written;
  }
}

async function write(
  { client, scripts }: EditDependencies,
  id: string,
  version: number,
  record: AlertRecord,
  changes: readonly InstanceChange[],
  now: number,
): Promise<Rule | null> {
  const text = JSON.stringify(record);
  const outcome = await transition(client, scripts, { id, version, text, changes, waiting: WAITING, now });
  if (outcome.kind === "full") throw new Problem("alert_conflict", "there are as many alerts as there can be");
  return outcome.kind === "ok" ? compileRule({ id, version: outcome.version, text }) : null;
}

function recordOf({ definition, webhook, silencedUntil, createdAt }: Rule): AlertRecord {
  return { definition, webhook, silencedUntil, createdAt };
}

function nextWebhook({ url, secret, format = "standard" }: WebhookInput, before: Webhook | null, now: number): Webhook {
  const next = secret ?? before?.secret ?? makeSecret();
  const isRotated = before !== null && before.secret !== next;
  const previous = isRotated ? { secret: before.secret, until: now + ROTATION_MS } : before?.previous;
  return { url, format, secret: next, ...(previous && { previous }) };
}

/** Ends every instance of a rule; what fires is resolved. */
async function endings(
  { client }: EditDependencies,
  rule: Rule,
  find: (name: string) => Counter | undefined,
  now: number,
): Promise<InstanceChange[]> {
  const [instances = new Map<string, string>()] = await readInstances(client, [rule.id]);
  return [...instances].map(([instance, text]) => {
    const state = JSON.parse(text) as InstanceState;
    const key = shownKey(rule, find(rule.definition.counter), instance);
    const after = endInstance(rule, state, now, (made) =>
      makeEvent(rule, { id: newEventId(), now, key, value: null, span: null }, made),
    );
    const { after: _, ...change } = toChange(rule, instance, text, after);
    return change;
  });
}
