import { afterAll, beforeAll, expect, test } from "vitest";
import type { Work } from "../../src/jobs/work.ts";
import { describeOnDatabases } from "../support/databases.ts";
import type { ModelPartition } from "../support/model.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { Killed, Mortal } from "./mortal.ts";
import { ColdStage } from "./stage.ts";

/** Whoever moves buckets to cold storage may die at any step, be two at once, or come in the wrong order. */

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

describeOnDatabases((startDatabase) => {
  let stage: ColdStage;
  beforeAll(async () => {
    stage = await ColdStage.open(redis, startDatabase);
  });
  afterAll(() => stage.close());

  const check = async (model: ModelPartition) => {
    expect(await stage.differences([model])).toEqual([]);
    expect(stage.differing).toEqual([]);
  };

  /** Dies at every step there is, once before and once after it; on the slow embedded database at every third. */
  const killEverywhere = async (run: (work: Work) => Promise<void>, after: () => Promise<void>) => {
    let steps = 0;
    for (const when of ["before", "after"] as const) {
      for (let dieAt = 1; ; dieAt += stage.database.url ? 1 : 3) {
        const model = await stage.playRound();
        const died = await run(stage.work(new Mortal(dieAt, when))).then(
          () => false,
          (error) => error instanceof Killed || Promise.reject(error),
        );
        await check(model);
        await after();
        await check(model);
        if (!died) break;
        steps++;
      }
    }
    return steps;
  };

  test("an export that dies at any step loses nothing and doubles nothing", { timeout: 300_000 }, async () => {
    const steps = await killEverywhere(
      (work) => work.exportPartition(0),
      () => stage.work().exportPartition(0),
    );
    expect(steps).toBeGreaterThan(20);
  });

  test("so it is for leaving Redis", { timeout: 300_000 }, async () => {
    const steps = await killEverywhere(
      async (work) => {
        await stage.work().exportPartition(0);
        await work.forgetPartition(0);
      },
      () => stage.work().forgetPartition(0),
    );
    expect(steps).toBeGreaterThan(10);
    // Nothing is left behind: only the open hours and what `keep` asks for.
    const { harness, partition } = stage;
    const counter = harness.counter("all");
    const [finest] = counter.windows;
    expect(await harness.client.zcard(partition.window(counter, finest!).starts)).toBeLessThan(60);
  });

  test("jobs that run beside themselves and in the wrong order change nothing", { timeout: 300_000 }, async () => {
    const models: ModelPartition[] = [];
    for (let i = 0; i < 6; i++) {
      models.push(await stage.playRound());
      const works = Array.from({ length: 4 }, () => stage.work());
      await Promise.all(
        works.flatMap((work) => [
          work.forgetPartition(0),
          work.exportPartition(0),
          work.compactAll(),
          work.forgetPartition(0),
        ]),
      );
    }
    for (const model of models) await check(model);
  });
});
