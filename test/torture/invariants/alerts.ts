import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { JOBS_PREFIX } from "../../../src/redis/keys.ts";
import type { Reader } from "../reader.ts";
import { until } from "../wait.ts";
import { type Aftermath, Finding } from "./invariant.ts";

/** Long chains of messages of one instance take their time on a busy machine, ms. */
const DELIVERED_MAX_MS = 60_000;

interface Recorded {
  readonly id: string;
  readonly type: "firing" | "resolved";
  readonly key: readonly string[] | null;
  readonly delivery: object;
}

const historyOf = (reader: Reader, rule: string) => reader.list<Recorded>(`/v1/alerts/${rule}/events?`, "events");

/** Each transition has one id, and came to its receiver at least once, signed and always the same. */
export async function alertsArrive({ alarms, reader, redis }: Aftermath): Promise<Finding[]> {
  if (!alarms) return [];
  const finding = new Finding("transitions: in turn, one id, delivered, signed");
  const { receiver, secrets } = alarms;
  const known = new Set<string>();
  for (const rule of secrets.keys()) {
    const history = (await historyOf(reader, rule)).reverse();
    for (const { id } of history) {
      finding.holds(!known.has(id), () => `the id ${id} was given twice`);
      known.add(id);
    }
    for (const [key, types] of byKey(history)) {
      const inTurn = types.map((_, i) => (i % 2 === 0 ? "firing" : "resolved"));
      finding.same(`${rule} ${key}: types`, types, inTurn);
    }
  }
  const arrived = () => new Set(receiver.messages.map(({ id }) => id));
  await until(async () => {
    await promoteDelayed(redis);
    return [...known].every((id) => arrived().has(id));
  }, DELIVERED_MAX_MS);
  const deliveries = new Map<string, object>();
  // Rules go on being evaluated: what has arrived since must stand in the histories by now.
  for (const rule of secrets.keys()) {
    for (const { id, delivery } of await historyOf(reader, rule)) deliveries.set(id, delivery);
  }
  for (const id of known) {
    finding.holds(arrived().has(id), () => `${id} did not arrive: ${JSON.stringify(deliveries.get(id))}`);
  }
  checkMessages(finding, alarms);
  for (const id of arrived()) finding.holds(deliveries.has(id), () => `${id} was delivered, and is in no history`);
  return [finding];
}

/**
 * A message whose attempts failed twice, once here and once with its process, would come in five minutes: the board's
 * button for it spares the wait. A message whose job is gone is not helped by that.
 */
async function promoteDelayed(redis: Redis): Promise<void> {
  const queue = new Queue("deliver", { connection: redis, prefix: JOBS_PREFIX, skipVersionCheck: true });
  // One that runs meanwhile is none that waits.
  for (const job of await queue.getDelayed()) await job.promote().catch(() => undefined);
  await queue.close();
}

function byKey(history: readonly Recorded[]): Map<string, string[]> {
  const types = new Map<string, string[]>();
  for (const { key, type } of history) {
    const name = JSON.stringify(key);
    types.set(name, [...(types.get(name) ?? []), type]);
  }
  return types;
}

/** Signed when they came, and the same each time. */
function checkMessages(finding: Finding, { receiver, forged }: NonNullable<Aftermath["alarms"]>): void {
  const texts = new Map<string, string>();
  for (const { id, text } of receiver.messages) {
    finding.same(`${id}: its text`, text, texts.get(id) ?? text);
    texts.set(id, text);
  }
  finding.same("messages with a wrong signature", forged, []);
}
