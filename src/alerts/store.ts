import { type Command, pipelined } from "../buckets/pipeline.ts";
import type { RedisClient } from "../redis/client.ts";
import {
  readAlert,
  readAlertIds,
  readAlerts,
  readAlertsVersion,
  type StoredAlert,
  type WaitingJob,
} from "../redis/commands/alerts.ts";
import { alertKeys } from "../redis/keys.ts";
import { compileRule, type Rule } from "./rule.ts";

/** A copy of all rules, read again only when one has changed. */
export class RuleBook {
  readonly #client: RedisClient;
  #version = -1;
  #rules: ReadonlyMap<string, Rule> = new Map();

  constructor(client: RedisClient) {
    this.#client = client;
  }

  /** By id. A rule that has not changed is the same object as before. */
  async read(): Promise<ReadonlyMap<string, Rule>> {
    if ((await readAlertsVersion(this.#client)) === this.#version) return this.#rules;
    const { version, alerts } = await readAlerts(this.#client);
    const known = this.#rules;
    const compile = (stored: StoredAlert): Rule => {
      const rule = known.get(stored.id);
      return rule?.version === stored.version ? rule : compileRule(stored);
    };
    this.#rules = new Map(alerts.map((stored) => [stored.id, compile(stored)]));
    this.#version = version;
    return this.#rules;
  }
}

export async function findRule(client: RedisClient, id: string): Promise<Rule | null> {
  const stored = await readAlert(client, id);
  return stored && compileRule(stored);
}

/** States of all instances of each rule, by instance, as they are stored. */
export async function readInstances(client: RedisClient, ids: readonly string[]): Promise<Map<string, string>[]> {
  const replies = await pipelined(
    client,
    ids.map((id): Command => ["hgetall", alertKeys(id).instances]),
  );
  return replies.map((reply) => new Map(Object.entries(reply as Record<string, string>)));
}

/** Rules that are looked at in one go. */
const RULES_AT_ONCE = 500;

/** Of each instance that has jobs which are not done, the first of them; those of some rules at a time. */
export async function* firstWaiting(client: RedisClient): AsyncGenerator<WaitingJob[]> {
  const ids = await readAlertIds(client);
  for (let from = 0; from < ids.length; from += RULES_AT_ONCE) {
    const some = ids.slice(from, from + RULES_AT_ONCE);
    const keys = some.map((id) => alertKeys(id).waiting);
    // Nothing waits for most rules, which one command says of all of them.
    if ((await client.exists(...keys)) === 0) continue;
    const replies = await pipelined(
      client,
      keys.map((key): Command => ["hgetall", key]),
    );
    yield replies.flatMap((reply, i) =>
      Object.entries(reply as Record<string, string>).map(([instance, jobs]) => {
        return { rule: some[i] as string, instance, job: jobs.split(" ", 1)[0] as string };
      }),
    );
  }
}
