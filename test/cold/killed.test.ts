import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Database } from "../../src/cold/database.ts";
import { ColdStore } from "../../src/cold/store.ts";
import type { Event } from "../../src/core/event.ts";
import { Work } from "../../src/jobs/work.ts";
import { Metrics } from "../../src/metrics.ts";
import { requeue } from "../../src/redis/commands/requeue.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import type { PartitionOwner } from "../../src/stream/owner.ts";
import { findDifferences } from "../support/compare.ts";
import { describeOnDatabases, type TestDatabase } from "../support/databases.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { ModelPartition } from "../support/model.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { Killed, Mortal } from "./mortal.ts";

/** Whoever moves buckets to cold storage may die at any step, be two at once, or come in the wrong order. */

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

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

describeOnDatabases((startDatabase) => {
  let database: TestDatabase;
  let dataDir: string;
  let cold: Database;
  let harness: Harness;
  let owner: PartitionOwner;
  let partition: PartitionKeys;
  let round = 0;
  const differing: unknown[] = [];

  beforeAll(async () => {
    database = await startDatabase();
    dataDir = await mkdtemp(join(tmpdir(), "tallymark-cold-"));
    cold = new Database({ url: database.url ?? null, dataDir });
    harness = await Harness.create(redis, { counters: [COUNTER], cold });
    [partition] = harness.partitions as [PartitionKeys];
    owner = await harness.own(partition);
    await harness.client.persist(partition.lease);
  });
  afterAll(async () => {
    harness.close();
    await cold.close();
    await database.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  const workOf = (mortal: Mortal | null): Work => {
    const { client, scripts, registry, partitions } = harness;
    return new Work({
      client: mortal ? mortal.client(client) : client,
      store: new ColdStore(mortal ? mortal.database(cold) : cold),
      scripts,
      registry,
      partitions,
      metrics: new Metrics(),
      onDiffering: (rows) => differing.push(...rows),
    });
  };
  const applyAll = async () => {
    while ((await harness.client.xlen(partition.stream)) > 0) {
      await owner.apply(await readNew(harness.client, partition, 100, 1));
    }
  };

  /**
   * Two hours of events, which close everything before; then one that is late, and counted after all. Resolves to a
   * model of just these events.
   */
  const playRound = async (): Promise<ModelPartition> => {
    const start = T + round++ * 3 * HOUR;
    const events = Array.from({ length: 6 }, (_, i) => makeRoundEvent(`${round}.${i}`, start + i * 20 * 60_000));
    const late = makeRoundEvent(`${round}.late`, start + 30 * 60_000);
    for (const event of [...events, late]) {
      await harness.send([event]);
      await applyAll();
    }
    const ids = (await harness.client.xrange(partition.late, "-", "+")).map(([id]) => id);
    expect(ids).toHaveLength(1);
    await requeue(harness.client, harness.scripts, partition, partition.late, ids);
    await applyAll();
    return modelOf([...events, late]);
  };

  const modelOf = (events: readonly Event[]): ModelPartition => {
    const counter = { ...harness.counter("all"), latenessMs: 1e12 };
    const model = new ModelPartition([counter]);
    model.applyBatch([{ arrival: Date.now(), events }]);
    return model;
  };

  const check = async (models: readonly ModelPartition[]) => {
    expect(await findDifferences(harness, models)).toEqual([]);
    expect(differing).toEqual([]);
  };

  /** Dies at every step there is, once before and once after it; on the slow embedded database at every third. */
  const killEverywhere = async (run: (work: Work) => Promise<void>, after: () => Promise<void>) => {
    let steps = 0;
    for (const when of ["before", "after"] as const) {
      for (let dieAt = 1; ; dieAt += database.url ? 1 : 3) {
        const model = await playRound();
        const died = await run(workOf(new Mortal(dieAt, when))).then(
          () => false,
          (error) => (error as Error).cause instanceof Killed || error instanceof Killed || Promise.reject(error),
        );
        await check([model]);
        await after();
        await check([model]);
        if (!died) break;
        steps++;
      }
    }
    return steps;
  };

  test("an export that dies at any step loses nothing and doubles nothing", { timeout: 300_000 }, async () => {
    const steps = await killEverywhere(
      (work) => work.exportPartition(0),
      () => workOf(null).exportPartition(0),
    );
    expect(steps).toBeGreaterThan(20);
  });

  test("so it is for leaving Redis", { timeout: 300_000 }, async () => {
    const steps = await killEverywhere(
      async (work) => {
        await workOf(null).exportPartition(0);
        await work.forgetPartition(0);
      },
      () => workOf(null).forgetPartition(0),
    );
    expect(steps).toBeGreaterThan(10);
    // Nothing is left behind: only the open hours and what `keep` asks for.
    expect(
      Number(
        await harness.client.zcard(partition.window(harness.counter("all"), harness.counter("all").windows[0]!).starts),
      ),
    ).toBeLessThan(60);
  });

  test("jobs that run beside themselves and in the wrong order change nothing", async () => {
    const models: ModelPartition[] = [];
    for (let i = 0; i < 6; i++) {
      models.push(await playRound());
      const works = Array.from({ length: 4 }, () => workOf(null));
      await Promise.all(
        works.flatMap((work) => [
          work.forgetPartition(0),
          work.exportPartition(0),
          work.compactAll(),
          work.forgetPartition(0),
        ]),
      );
    }
    for (const model of models) await check([model]);
  });
});

function makeRoundEvent(id: string, time: number): Event {
  const n = [...id].reduce((sum, char) => sum + char.charCodeAt(0), 0);
  return makeEvent({ id, time, subject: `/${n % 3}`, data: { n: n / 8, user: `u${n % 11}` } });
}
