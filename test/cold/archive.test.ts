import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { LedgerArchive } from "../../src/cold/archive.ts";
import { readRestored } from "../../src/redis/commands/archive.ts";
import { describeOnDatabases } from "../support/databases.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { Interruption } from "./interruption.ts";
import { FULL, HOT, LedgerStage } from "./ledger-stage.ts";
import { Killed, Mortal } from "./mortal.ts";

/** Late events leave Redis for cold storage, and come back to be counted: each is in one place and counts once. */

const LONG = { timeout: 300_000 };

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

describeOnDatabases((startDatabase, isEmbedded) => {
  /** The slow embedded database is interrupted at every third step. */
  const stride = isEmbedded ? 3 : 1;
  let stage: LedgerStage;
  beforeAll(async () => {
    stage = await LedgerStage.open(redis, startDatabase);
  }, 120_000);
  afterAll(() => stage.close());
  afterEach(async () => {
    await drain();
    await stage.age();
    await stage.archive().finish(stage.partition, "late");
    expect([await stage.rows(), await stage.hot()]).toEqual([0, 0]);
  });

  /** Whatever has happened: in the end all events are counted, once, and none is late any more. */
  const drain = async () => {
    await stage.archive().finish(stage.partition, "late");
    const refs = (await stage.list()).map(({ ref }) => ref);
    expect(await stage.ledger().requeue(refs)).toBe(refs.length);
    expect(await stage.list()).toEqual([]);
    expect(await stage.counted()).toBe(stage.sent);
  };

  /** Every event is late or counted, and in one place. */
  const check = async () => {
    await stage.archive().finish(stage.partition, "late");
    const listed = await stage.list();
    expect(new Set(listed.map(({ id }) => id)).size).toBe(listed.length);
    expect((await stage.counted()) + listed.length).toBe(stage.sent);
  };

  const died = (run: Promise<unknown>) =>
    run.then(
      () => false,
      (error) => error instanceof Killed || Promise.reject(error),
    );

  /** Numbers entries that do not come back: its process ends before the script. */
  const numberOnly = async (refs: string[]) => {
    expect(await died(stage.ledger(new Mortal(11, "before")).requeue(refs))).toBe(true);
    const [row] = await stage.cold.query<{ last: string }>("SELECT max(number) AS last FROM ledger_entries");
    expect(Number(row?.last)).toBeGreaterThan(await readRestored(stage.harness.client, stage.partition, "late"));
  };

  test("the oldest go once there are many, and pages go on from one place to the other", LONG, async () => {
    await stage.fill(FULL - 1);
    expect(await stage.take()).toBe(0);
    await stage.fill(FULL);
    expect(await stage.take()).toBe(FULL - HOT);
    expect(await stage.hot()).toBe(HOT);
    await stage.fill(FULL);
    // In the middle of a listing more of them go.
    const listed = await stage.list(async () => void (await stage.take()));
    expect(listed.map(({ id }) => id)).toEqual(Array.from({ length: stage.sent }, (_, i) => `late${i}`));
    expect(await stage.hot()).toBe(HOT);
  });

  test("what goes from one place to the other while a page is read is on it", LONG, async () => {
    for (let before = 1, happened = true; happened; before++) {
      await stage.fill(FULL);
      const fate = new Interruption(before, async () => void (await stage.take()));
      const listed = await stage.list(async () => {}, stage.ledger(fate));
      ({ happened } = fate);
      expect(listed).toEqual(await stage.list());
      await drain();
    }
  });

  test("whoever archives dies at any step", LONG, async () => {
    let steps = 0;
    for (const when of ["before", "after"] as const) {
      for (let dieAt = 1, alive = true; alive; dieAt += stride, steps++) {
        await stage.fill(FULL);
        alive = await died(stage.take(new Mortal(dieAt, when)));
        await check();
        // What it has left neither blocks the next one nor is lost on it, nor comes twice when it is asked for back.
        const [first] = await stage.list();
        expect(await stage.ledger().requeue([first!.ref])).toBe(1);
        await check();
        await stage.take();
        expect(await stage.hot()).toBeLessThan(FULL);
        await drain();
      }
    }
    expect(steps).toBeGreaterThan(30 / stride);
  });

  test("whoever gives events back dies at any step, and is repeated", LONG, async () => {
    let steps = 0;
    for (const when of ["before", "after"] as const) {
      for (let dieAt = 1, alive = true; alive; dieAt += stride, steps++) {
        await stage.fill(FULL);
        await stage.take();
        const listed = (await stage.list()).map(({ ref }) => ref);
        // Of both places, and more than one script gives back.
        const refs = [...listed.slice(0, 110), ...listed.slice(-10)];
        alive = await died(stage.ledger(new Mortal(dieAt, when)).requeue(refs));
        await stage.ledger().requeue(refs);
        await stage.archive().finish(stage.partition, "late");
        expect((await stage.list()).map(({ ref }) => ref)).toEqual(listed.slice(110, -10));
        await drain();
      }
    }
    expect(steps).toBeGreaterThan(20 / stride);
  });

  test("whoever finishes dies at any step", LONG, async () => {
    let steps = 0;
    for (const when of ["before", "after"] as const) {
      for (let dieAt = 1, alive = true; alive; dieAt += stride, steps++) {
        await stage.fill(FULL);
        await stage.take();
        const refs = (await stage.list()).slice(0, 5).map(({ ref }) => ref);
        await numberOnly(refs);
        if (dieAt % 2 === 0) await stage.age();
        alive = await died(stage.archive(new Mortal(dieAt, when)).finish(stage.partition, "late"));
        await stage.archive().finish(stage.partition, "late");
        await check();
        expect(await stage.ledger().requeue(refs)).toBe(0);
        await drain();
      }
    }
    expect(steps).toBeGreaterThan(8 / stride);
  });

  test("while one is held up at any step, others do everything and forget it", LONG, async () => {
    const doEverything = async () => {
      await stage.fill(FULL);
      await stage.take();
      const refs = (await stage.list()).map(({ ref }) => ref);
      await stage.ledger().requeue(refs.slice(0, 130));
      await stage.age();
      await stage.archive().finish(stage.partition, "late");
      await numberOnly(refs.slice(130, 135));
      await stage.age();
    };
    const runs = [
      (fate: Interruption) => stage.take(fate),
      async (fate: Interruption) => {
        const refs = (await stage.list()).slice(0, 130).map(({ ref }) => ref);
        await stage.ledger(fate).requeue(refs);
      },
      (fate: Interruption) => stage.archive(fate).finish(stage.partition, "late"),
    ];
    for (const run of runs) {
      for (let before = 1, happened = true; happened; before += stride) {
        await doEverything();
        await stage.fill(FULL);
        const fate = new Interruption(before, doEverything);
        await run(fate);
        ({ happened } = fate);
        await check();
        await drain();
      }
    }
  });

  test.skipIf(isEmbedded)(
    "one is held up with entries in its hand: others wait, or it has lost them",
    LONG,
    async () => {
      for (const endsSession of [false, true]) {
        await stage.fill(FULL);
        await stage.take();
        await stage.fill(FULL);
        const others = async () => {
          if (endsSession) {
            await stage.cold.query(
              "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'",
            );
          }
          const refs = (await stage.list()).slice(0, 300).map(({ ref }) => ref);
          await stage.ledger().requeue(refs);
          await stage.age();
          await stage.archive().finish(stage.partition, "late");
        };
        let other: PromiseSettledResult<void> | undefined;
        const client = new Proxy(stage.harness.client, {
          get: (target, name) => {
            const value: unknown = Reflect.get(target, name);
            if (name !== "xrangeBuffer") return typeof value === "function" ? value.bind(target) : value;
            return async (...args: Parameters<typeof target.xrangeBuffer>) => {
              const entries = await target.xrangeBuffer(...args);
              [other] = await Promise.allSettled([others()]);
              return entries;
            };
          },
        });
        const held = new LedgerArchive({ client, scripts: stage.harness.scripts, database: stage.cold });
        const [end] = await Promise.allSettled([held.take(stage.partition, "late", { above: FULL, keep: 200 })]);
        expect([end!.status, other?.status]).toEqual(
          endsSession ? ["rejected", "fulfilled"] : ["fulfilled", "rejected"],
        );
        await check();
        await drain();
      }
    },
  );

  test("many at once archive and give back the same events: each is given back by one of them", LONG, async () => {
    await stage.fill(3_400);
    const refs = (await stage.list()).map(({ ref }) => ref);
    const takers = Array.from({ length: 4 }, () => stage.take());
    const givers = Array.from({ length: 4 }, async (_, i) => {
      let given = 0;
      for (let at = i * 100; at < 3_000; at += 200) given += await stage.ledger().requeue(refs.slice(at, at + 300));
      return given;
    });
    await Promise.all(takers);
    const given = (await Promise.all(givers)).reduce((a, b) => a + b, 0);
    expect(given).toBe(3_300 - 100);
    await check();
  });
});
