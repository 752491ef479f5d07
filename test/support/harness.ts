import { randomUUID } from "node:crypto";
import type { Database } from "../../src/cold/database.ts";
import type { Counter, CounterInput } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import type { Event } from "../../src/core/event.ts";
import { identify } from "../../src/core/identity.ts";
import type { IdentifiedEvent } from "../../src/core/packed.ts";
import { CounterRegistry } from "../../src/counters/registry.ts";
import { Producer, shareOut } from "../../src/ingest/producer.ts";
import { createLogger } from "../../src/log.ts";
import { Lookups, type LookupsDependencies } from "../../src/query/lookups.ts";
import type { RedisClient } from "../../src/redis/client.ts";
import { acquireLease } from "../../src/redis/commands/lease.ts";
import { type PartitionKeys, partitionKeys } from "../../src/redis/keys.ts";
import { readPackagedScript, type ScriptName, Scripts } from "../../src/redis/scripts.ts";
import { StreamMetrics } from "../../src/stream/metrics.ts";
import { PartitionOwner } from "../../src/stream/owner.ts";
import type { TestRedis } from "./redis.ts";

/** Nothing leaves Redis in these tests. */
const noDatabase: Database = {
  query: () => Promise.reject(new Error("no cold storage here")),
} as Partial<Database> as Database;

const SECRET = "secret of the tests";

/** A text of one script that is replaced by another. */
export interface ScriptChange {
  readonly script: ScriptName;
  readonly from: string;
  readonly to: string;
}

/** For `mutate`: makes the change, if there is one. Throws when the script has no such text. */
export function changing(change: ScriptChange | undefined): (name: ScriptName, source: string) => string {
  return (name, source) => {
    if (name !== change?.script) return source;
    if (!source.includes(change.from)) throw new Error(`the script has no "${change.from}"`);
    return source.replace(change.from, () => change.to);
  };
}

export interface HarnessOptions {
  readonly partitions?: number;
  readonly counters: readonly CounterInput[];
  readonly horizonMs?: number;
  /** Where cold buckets are; absent: nothing leaves Redis. */
  readonly cold?: Database;
  /** Changes a script: how a test removes the mechanism that it proves. */
  readonly mutate?: (name: ScriptName, source: string) => string;
}

/** The parts of the service between the stream and the lookups, driven step by step. */
export class Harness {
  readonly client: RedisClient;
  readonly partitions: readonly PartitionKeys[];
  readonly registry: CounterRegistry;
  readonly scripts: Scripts;
  readonly lookups: Lookups;
  readonly lookupsDependencies: LookupsDependencies;
  readonly #redis: TestRedis;
  readonly #producer: Producer;
  readonly #horizonMs: number;
  readonly #opened: RedisClient[];

  private constructor(
    redis: TestRedis,
    client: RedisClient,
    partitions: readonly PartitionKeys[],
    registry: CounterRegistry,
    scripts: Scripts,
    { horizonMs = 3_600_000, cold = noDatabase }: HarnessOptions,
    opened: RedisClient[],
  ) {
    this.#opened = opened;
    this.#redis = redis;
    this.client = client;
    this.partitions = partitions;
    this.registry = registry;
    this.scripts = scripts;
    this.#horizonMs = horizonMs;
    this.#producer = new Producer(client, null);
    this.lookupsDependencies = { client, scripts, partitions, isCluster: false, cold, now: () => Date.now() };
    this.lookups = new Lookups(this.lookupsDependencies);
  }

  /** An empty deployment on the test file's Redis. */
  static async create(redis: TestRedis, options: HarnessOptions): Promise<Harness> {
    const client = await redis.connections.open("prompt");
    await client.flushall();
    const partitions = partitionKeys(options.partitions ?? 1);
    const scripts = new Scripts((name) => {
      const source = readPackagedScript(name);
      return options.mutate?.(name, source) ?? source;
    });
    const subscriber = await redis.connections.open("subscriber");
    const registry = await CounterRegistry.open({ client, subscriber, scripts, partitions, onError: () => {} });
    for (const input of options.counters) {
      const definition = parseCounter(input);
      if (Array.isArray(definition)) throw new Error(JSON.stringify(definition));
      await registry.put(definition);
    }
    return new Harness(redis, client, partitions, registry, scripts, options, [client, subscriber]);
  }

  counter(name: string): Counter {
    const counter = this.registry.current.find(name);
    if (!counter) throw new Error(`no counter ${name}`);
    return counter;
  }

  partitionOf(event: Event): PartitionKeys {
    const { spread } = identify(SECRET, event.source, event.id);
    return this.partitions[spread % this.partitions.length] as PartitionKeys;
  }

  /** Queues events as one request would. */
  async send(events: readonly Event[]): Promise<void> {
    const groups = new Map<PartitionKeys, IdentifiedEvent[]>();
    for (const event of events) {
      const partition = this.partitionOf(event);
      const identified = { event, identity: identify(SECRET, event.source, event.id) };
      groups.set(partition, [...(groups.get(partition) ?? []), identified]);
    }
    const shares = shareOut(groups);
    await this.#producer.enqueue(
      shares,
      shares.map(() => null),
    );
  }

  /** A worker that owns the partition, whoever did before. */
  async own(partition: PartitionKeys, token: string = randomUUID()): Promise<PartitionOwner> {
    await this.client.del(partition.lease);
    if (!(await acquireLease(this.client, this.scripts, partition, token))) throw new Error("lease not acquired");
    const { scripts, registry, client } = this;
    const blocking = await this.#redis.connections.open("blocking");
    this.#opened.push(blocking);
    return PartitionOwner.takeOver({
      partition,
      token,
      client,
      blocking,
      scripts,
      registry,
      dedupeHorizonMs: this.#horizonMs,
      metrics: new StreamMetrics(),
      log: createLogger("silent"),
    });
  }

  close(): void {
    this.registry.close();
    for (const client of this.#opened) this.#redis.connections.close(client);
  }
}

/** An event with defaults for whatever a test does not care about. */
export function makeEvent(partial: Partial<Event> & { id: string }): Event {
  return { source: "", type: "t", time: null, subject: null, data: null, ...partial };
}
