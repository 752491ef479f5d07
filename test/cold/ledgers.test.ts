import { join } from "node:path";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LEDGER_FULL, LEDGER_HOT } from "../../src/core/limits.ts";
import { JOBS_PREFIX } from "../../src/redis/keys.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { describeOnDatabases, type TestDatabase } from "../support/databases.ts";

/** The whole service: ledgers that are too long for Redis are bounded there, and answered and emptied as one. */

const T = Date.parse("2015-09-12T00:00:00Z");
const HOUR = 3_600_000;
const LONG = { timeout: 180_000 };
const POLL = { timeout: 60_000, interval: 200 };
const COUNTER = { event: "e", by: [], windows: ["1m"], lateness: "1m" };

describeOnDatabases((startDatabase) => {
  let database: TestDatabase;
  let app: TestApp;
  let redis: Redis;
  beforeAll(async () => {
    database = await startDatabase();
    app = await startTestApp([{ ...COUNTER, name: "strict" }], { DATABASE_URL: database.url });
    redis = new Redis({ path: join(app.dataDir, "redis", "redis.sock") });
    await send([{ id: "ahead", type: "e", time: T + HOUR }]);
  });
  afterAll(async () => {
    redis?.disconnect();
    await app?.stop();
    await database?.stop();
  });

  let sent = 0;
  const send = async (events: object[]) => (await app.call("POST", "/v1/events?wait=applied", events)).body;
  const sendLate = async (n: number) => {
    const events = Array.from({ length: n }, () => ({ id: `late${sent++}`, type: "e", time: T }));
    expect(await send(events)).toMatchObject({ late: n });
  };
  const listAll = async (path: string, name: string) => {
    const found: { ref: string; reason?: string; event: { id: string } | string }[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body } = await app.call("GET", `${path}${cursor && `cursor=${cursor}`}`);
      found.push(...body[name]);
      cursor = body.cursor;
    }
    return found;
  };
  const listLate = (counter = "strict") => listAll(`/v1/late?counter=${counter}&`, "late");
  const count = async () => (await app.call("GET", `/v1/counters/strict/value?from=${T}&to=${T + 60_000}`)).body.count;
  const archived = async (ledger: string) => {
    const text = (await app.call("GET", "/metrics")).body as string;
    return Number(new RegExp(`^tallymark_ledger_archived_total\\{ledger="${ledger}"\\} (\\d+)$`, "m").exec(text)?.[1]);
  };

  test(
    "late events beyond what Redis keeps are archived by themselves, and all count once readmitted",
    LONG,
    async () => {
      await sendLate(LEDGER_FULL + 700);
      await expect.poll(() => redis.xlen("tm:{0}:late"), POLL).toBe(LEDGER_HOT);
      expect(await archived("late")).toBe(LEDGER_FULL + 700 - LEDGER_HOT);
      const listed = await listLate();
      expect(listed.map(({ event }) => (event as { id: string }).id)).toEqual(
        Array.from({ length: sent }, (_, i) => `late${i}`),
      );
      expect(listed[0]).toMatchObject({
        counter: "strict",
        watermark: new Date(T + HOUR).toISOString(),
        event: { id: "late0", type: "e", time: new Date(T).toISOString() },
      });
      const refs = [listed[0]!.ref, listed[700]!.ref, listed.at(-1)!.ref];
      expect((await app.call("POST", "/v1/late/readmit", { refs })).body).toEqual({ readmitted: 3 });
      expect((await app.call("POST", "/v1/late/readmit", { refs })).body).toEqual({ readmitted: 0 });
      await expect.poll(count, POLL).toBe(3);
      const all = await app.call("POST", "/v1/late/readmit", { counter: "strict", all: true });
      expect([all.status, all.body]).toEqual([202, { readmitted: sent - 3 }]);
      await expect.poll(count, POLL).toBe(sent);
      expect(await listLate()).toEqual([]);
    },
  );

  test("dead letters are archived byte for byte, and each is retried once", LONG, async () => {
    const letters = Array.from({ length: LEDGER_FULL }, (_, i) => i);
    // Text of JSON that Postgres's own text could not hold, and events that are none.
    await redis.xadd("tm:{0}:stream", "*", "e", "no\0 json ÿ");
    await redis.xadd("tm:{0}:stream", "*", "e", JSON.stringify(letters));
    await expect.poll(() => redis.xlen("tm:{0}:dead"), POLL).toBe(LEDGER_HOT);
    const listed = await listAll("/v1/dead-letters?", "deadLetters");
    expect(listed.slice(0, 2)).toMatchObject([
      { reason: "the entry holds no readable events", event: "no\0 json ÿ" },
      { reason: "is not an array", event: "[0]" },
    ]);
    expect(listed.slice(1).map(({ event }) => event)).toEqual(letters.map((i) => `[${i}]`));
    const [first] = listed;
    expect((await app.call("POST", `/v1/dead-letters/${first!.ref}/retry`)).body).toEqual({ retried: 1 });
    expect((await app.call("POST", `/v1/dead-letters/${first!.ref}/retry`)).status).toBe(404);
    // It still cannot be applied, and comes back as the youngest.
    await expect
      .poll(async () => (await listAll("/v1/dead-letters?", "deadLetters")).at(-1)?.event, POLL)
      .toBe("no\0 json ÿ");
    expect(await listAll("/v1/dead-letters?", "deadLetters")).toHaveLength(LEDGER_FULL + 1);
  });

  test("a deleted counter takes its late events along, and leaves those of others", LONG, async () => {
    await app.call("PUT", "/v1/counters/other", COUNTER);
    await send([{ id: "ahead for the other", type: "e", time: T + HOUR }]);
    await sendLate(LEDGER_FULL);
    // One for each of the two.
    await expect.poll(() => redis.xlen("tm:{0}:late"), POLL).toBe(LEDGER_HOT);
    const before = await listLate("other");
    expect(before).toHaveLength(LEDGER_FULL);
    expect((await app.call("DELETE", "/v1/counters/strict")).status).toBe(204);
    const connection = redis.duplicate({ maxRetriesPerRequest: null });
    const queue = new Queue("compact", { connection, prefix: JOBS_PREFIX });
    await queue.add("compact", {});
    await queue.close();
    connection.disconnect();
    await expect.poll(() => redis.hlen("tm:{meta}:deleted"), POLL).toBe(0);
    expect(await listLate("other")).toEqual(before);
    const left = await redis.xrange("tm:{0}:late", "-", "+");
    expect(left.filter(([, fields]) => fields[1] === "1")).toEqual([]);
    // The embedded one is the service's own.
    if (!database.url) return;
    const sql = new pg.Client(database.url);
    await sql.connect();
    const { rows } = await sql.query(
      "SELECT generation, count(*)::int AS n FROM ledger_entries WHERE number IS NULL GROUP BY 1 ORDER BY 1",
    );
    await sql.end();
    expect(rows.map(({ generation }) => generation)).toEqual([0, 2]);
  });
});
