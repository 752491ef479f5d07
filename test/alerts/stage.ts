import { Deliveries } from "../../src/alerts/deliver.ts";
import { createRule } from "../../src/alerts/edit.ts";
import { Evaluator } from "../../src/alerts/evaluator.ts";
import { listEvents, type ShownEvent } from "../../src/alerts/history.ts";
import { type AlertInput, type ParsedAlert, parseAlert, type Rule } from "../../src/alerts/rule.ts";
import { WebhookSender } from "../../src/alerts/webhook.ts";
import type { CounterInput } from "../../src/core/counter.ts";
import { createLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import type { PartitionOwner } from "../../src/stream/owner.ts";
import { Harness, type HarnessOptions, makeEvent } from "../support/harness.ts";
import type { TestRedis } from "../support/redis.ts";

export const VIEWS: CounterInput = {
  name: "views",
  event: "*",
  by: ["subject"],
  sum: "data.n",
  unique: "data.user",
  windows: ["1s", "1m", "1h"],
  lateness: "1h",
};

/** Evaluators and deliveries driven step by step on real counts; the wall clock is the test's. */
export class Stage {
  readonly harness: Harness;
  readonly metrics = new Metrics();
  readonly #redis: TestRedis;
  readonly #owner: PartitionOwner;
  readonly #deliveries: Deliveries[] = [];
  #sent = 0;
  /** Wall time, ms. */
  now = Date.now();

  private constructor(redis: TestRedis, harness: Harness, owner: PartitionOwner) {
    this.#redis = redis;
    this.harness = harness;
    this.#owner = owner;
  }

  static async open(redis: TestRedis, options: Partial<HarnessOptions> = {}): Promise<Stage> {
    const harness = await Harness.create(redis, { counters: [VIEWS], ...options });
    const [partition] = harness.partitions as [PartitionKeys];
    const owner = await harness.own(partition);
    await harness.client.persist(partition.lease); // nobody ticks here
    return new Stage(redis, harness, owner);
  }

  get client(): RedisClient {
    return this.harness.client;
  }

  /** Counts events of a subject, `msAgo` before now. */
  count(subject: string, times: number, { msAgo = 0, n = 1 } = {}): Promise<void> {
    const time = Date.now() - msAgo;
    return this.countEach(Array.from({ length: times }, () => ({ subject, time, n })));
  }

  async countEach(events: readonly { subject: string; time?: number; n?: number }[]): Promise<void> {
    await this.harness.send(
      events.map(({ subject, time = Date.now(), n = 1 }) =>
        makeEvent({ id: `e${this.#sent++}`, subject, time, data: { n, user: `u${this.#sent % 7}` } }),
      ),
    );
    await this.#owner.apply(await readNew(this.client, this.harness.partitions[0]!, 100, 1));
  }

  parse(partial: Partial<AlertInput>): ParsedAlert {
    const input = { name: "r", counter: "views", last: "1h", op: ">", threshold: 4, ...partial };
    const parsed = parseAlert(input, (name) => this.harness.registry.current.find(name), true);
    if (Array.isArray(parsed)) throw new Error(JSON.stringify(parsed));
    return parsed;
  }

  make(partial: Partial<AlertInput>): Promise<Rule> {
    return createRule(this.harness, this.parse(partial), this.now);
  }

  /** An evaluator as another process would have it. */
  evaluator(client: RedisClient = this.client): Evaluator {
    const { scripts, registry, lookupsDependencies } = this.harness;
    const log = createLogger("silent");
    return new Evaluator({
      ...lookupsDependencies,
      client,
      scripts,
      registry,
      metrics: this.metrics,
      log,
      now: async () => this.now,
    });
  }

  async deliveries(retryMs: readonly number[] = [20, 20, 20]): Promise<Deliveries> {
    const { client, scripts } = this.harness;
    const deliveries = await Deliveries.start({
      connections: this.#redis.connections,
      client,
      scripts,
      sender: new WebhookSender({ allowPrivate: true, attemptMaxMs: 2_000 }),
      metrics: this.metrics,
      log: createLogger("silent"),
      retryMs,
    });
    this.#deliveries.push(deliveries);
    return deliveries;
  }

  /** The history of a rule, oldest first. */
  async history(rule: Rule): Promise<ShownEvent[]> {
    return [...(await listEvents(this.client, rule.id, undefined, undefined)).events].reverse();
  }

  async close(): Promise<void> {
    await Promise.all(this.#deliveries.map((deliveries) => deliveries.stop()));
    this.harness.close();
  }
}
