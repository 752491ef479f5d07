import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foldPassed } from "../../src/buckets/fold.ts";
import { LedgerArchive } from "../../src/cold/archive.ts";
import { Database } from "../../src/cold/database.ts";
import { exportClosed } from "../../src/cold/export.ts";
import { ColdStore } from "../../src/cold/store.ts";
import type { Event } from "../../src/core/event.ts";
import { Work } from "../../src/jobs/work.ts";
import { Metrics } from "../../src/metrics.ts";
import { requeue } from "../../src/redis/commands/requeue.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import type { PartitionOwner } from "../../src/stream/owner.ts";
import { findDifferences } from "../support/compare.ts";
import type { TestDatabase } from "../support/databases.ts";
import { Harness, type HarnessOptions, makeEvent } from "../support/harness.ts";
import { ModelPartition } from "../support/model.ts";
import type { TestRedis } from "../support/redis.ts";
import type { Mortal } from "./mortal.ts";

const HOUR = 3_600_000;
const T = Date.parse("2015-09-12T00:00:00Z");
const COUNTER = {
  name: "all",
  event: "*",
  by: ["subject"],
  sum: "data.n",
  unique: "data.user",
  windows: ["1m", "1h"],
  lateness: "1m",
  keep: { "1m": "61m", "1h": "2h" },
};

/** One partition whose buckets are moved to cold storage step by step. */
export class ColdStage {
  readonly harness: Harness;
  readonly partition: PartitionKeys;
  readonly database: TestDatabase;
  /** Rows that cold storage held with other content. */
  readonly differing: unknown[] = [];
  readonly #cold: Database;
  readonly #dataDir: string;
  readonly #owner: PartitionOwner;
  #round = 0;

  private constructor(
    harness: Harness,
    database: TestDatabase,
    cold: Database,
    dataDir: string,
    owner: PartitionOwner,
  ) {
    this.harness = harness;
    this.partition = harness.partitions[0] as PartitionKeys;
    this.database = database;
    this.#cold = cold;
    this.#dataDir = dataDir;
    this.#owner = owner;
  }

  static async open(
    redis: TestRedis,
    startDatabase: () => Promise<TestDatabase>,
    mutate?: HarnessOptions["mutate"],
  ): Promise<ColdStage> {
    const database = await startDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), "tallymark-cold-"));
    const cold = new Database({ url: database.url ?? null, dataDir });
    const harness = await Harness.create(redis, { counters: [COUNTER], cold, ...(mutate && { mutate }) });
    const [partition] = harness.partitions as [PartitionKeys];
    const owner = await harness.own(partition);
    await harness.client.persist(partition.lease);
    return new ColdStage(harness, database, cold, dataDir, owner);
  }

  async close(): Promise<void> {
    this.harness.close();
    await this.#cold.close();
    await this.database.stop();
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  /** Jobs of a process that lives, or of one that dies. */
  work(mortal: Mortal | null = null): Work {
    const { client, scripts, registry, partitions } = this.harness;
    return new Work({
      client: mortal ? mortal.client(client) : client,
      store: new ColdStore(mortal ? mortal.database(this.#cold) : this.#cold),
      archive: this.archive(mortal),
      scripts,
      registry,
      partitions,
      metrics: new Metrics(),
      onDiffering: (rows) => this.differing.push(...rows),
    });
  }

  /** The ledgers' archive of a process that lives, or of one that dies. */
  archive(mortal: Mortal | null = null): LedgerArchive {
    const { client, scripts } = this.harness;
    return new LedgerArchive({
      client: mortal ? mortal.client(client) : client,
      scripts,
      database: mortal ? mortal.database(this.#cold) : this.#cold,
    });
  }

  /** What closed is exported, but not what was counted after all. */
  async exportWithoutCorrections(): Promise<void> {
    const { client, scripts } = this.harness;
    const deps = { client, scripts, store: new ColdStore(this.#cold), onDiffering: () => {} };
    await foldPassed(deps, this.partition, this.harness.counter("all"));
    await exportClosed(deps, this.partition, this.harness.counter("all"));
  }

  /**
   * Two hours of events, which close everything before; then one that is late, and counted after all. Resolves to a
   * model of just these events.
   */
  async playRound(): Promise<ModelPartition> {
    const round = ++this.#round;
    const start = T + round * 3 * HOUR;
    const events = Array.from({ length: 6 }, (_, i) => makeRoundEvent(`${round}.${i}`, start + i * 20 * 60_000));
    const late = makeRoundEvent(`${round}.late`, start + 30 * 60_000);
    for (const event of [...events, late]) {
      await this.harness.send([event]);
      await this.#applyAll();
    }
    const { client, scripts } = this.harness;
    const ids = (await client.xrange(this.partition.late, "-", "+")).map(([id]) => id);
    if (ids.length !== 1) throw new Error(`${ids.length} events are late, not one`);
    await requeue(client, scripts, this.partition, "late", ids);
    await this.#applyAll();
    return this.#modelOf([...events, late]);
  }

  async #applyAll(): Promise<void> {
    while ((await this.harness.client.xlen(this.partition.stream)) > 0) {
      await this.#owner.apply(await readNew(this.harness.client, this.partition, 100, 1));
    }
  }

  #modelOf(events: readonly Event[]): ModelPartition {
    const counter = { ...this.harness.counter("all"), latenessMs: 1e12 };
    const model = new ModelPartition([counter]);
    model.applyBatch([{ arrival: Date.now(), events }]);
    return model;
  }

  /** What lookups answer otherwise than the models, in words. */
  differences(models: readonly ModelPartition[]): Promise<string[]> {
    return findDifferences(this.harness, models);
  }
}

function makeRoundEvent(id: string, time: number): Event {
  const n = [...id].reduce((sum, char) => sum + char.charCodeAt(0), 0);
  return makeEvent({ id, time, subject: `/${n % 3}`, data: { n: n / 8, user: `u${n % 11}` } });
}
