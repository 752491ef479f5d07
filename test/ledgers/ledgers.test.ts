import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

const T = Date.parse("2015-09-12T10:00:00Z");

describe.each([1, 3])("with %i partitions", (partitions) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(
      [
        {
          name: "strict",
          event: "e",
          by: ["subject"],
          sum: "data.n",
          unique: "id",
          windows: ["10s", "1m"],
          lateness: "10s",
        },
        { name: "patient", event: "e", by: ["subject"], windows: ["1m"], lateness: "4000d" },
      ],
      { TALLYMARK_PARTITIONS: String(partitions) },
    );
    // Every partition's clock has to pass the late events, whichever partition those go to.
    await send(
      Array.from({ length: 60 }, (_, i) => ({ id: `ahead${i}`, type: "e", subject: "x", time: T + 3_600_000 })),
    );
  });
  afterAll(() => app.stop());

  const send = async (events: object[]) => (await app.call("POST", "/v1/events?wait=applied", events)).body;
  const value = async (counter: string, key = "late") =>
    (await app.call("GET", `/v1/counters/${counter}/value?key=${key}&from=${T}&to=${T + 7_200_000}`)).body;
  const listLate = async (counter = "strict") => {
    const found: { ref: string; event: { id: string } }[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const { body } = await app.call("GET", `/v1/late?counter=${counter}${cursor && `&cursor=${cursor}`}`);
      found.push(...body.late);
      cursor = body.cursor;
    }
    return found;
  };

  test("late events are listed, and count in every window once they are readmitted", async () => {
    const late = Array.from({ length: 250 }, (_, i) => ({
      id: `late${i}`,
      type: "e",
      subject: "late",
      time: T,
      data: { n: 0.5 },
    }));
    expect(await send(late)).toMatchObject({ accepted: 250, late: 250 });
    expect((await value("strict")).count).toBe(0);
    expect((await value("patient")).count).toBe(250);
    const listed = await listLate();
    expect(new Set(listed.map(({ event }) => event.id)).size).toBe(250);
    expect(listed[0]).toMatchObject({
      counter: "strict",
      watermark: new Date(T + 3_600_000).toISOString(),
      event: { type: "e", source: "", subject: "late", time: new Date(T).toISOString(), data: { n: 0.5 } },
    });
    expect(await listLate("patient")).toEqual([]);

    const refs = listed.slice(0, 2).map(({ ref }) => ref);
    expect((await app.call("POST", "/v1/late/readmit", { refs })).body).toEqual({ readmitted: 2 });
    expect((await app.call("POST", "/v1/late/readmit", { refs })).body).toEqual({ readmitted: 0 });
    await expect.poll(async () => (await value("strict")).count).toBe(2);
    const all = await app.call("POST", "/v1/late/readmit", { counter: "strict", all: true });
    expect([all.status, all.body]).toEqual([202, { readmitted: 248 }]);
    await expect.poll(async () => (await value("strict")).count).toBe(250);
    expect(await value("strict")).toMatchObject({ sum: 125 });
    expect((await value("patient")).count).toBe(250);
    expect(await listLate()).toEqual([]);
    // The ids are still remembered: a resend is a duplicate, not another event.
    expect(await send(late.slice(0, 5))).toMatchObject({ duplicates: 5, late: 0 });
  });

  test.each([
    ["GET", "/v1/late?counter=nobody", undefined, 404],
    ["GET", "/v1/late?counter=strict&cursor=x", undefined, 400],
    ["GET", "/v1/late", undefined, 400],
    ["POST", "/v1/late/readmit", { refs: ["x"] }, 400],
    ["POST", "/v1/late/readmit", { counter: "strict" }, 400],
    ["POST", "/v1/dead-letters/0-1-1/retry", undefined, 404],
  ])("%s %s %j → %i", async (method, path, body, status) => {
    expect((await app.call(method, path, body)).status).toBe(status);
  });
});

test("poison on the stream is one dead letter each, takes no neighbour along, and can be tried again", async () => {
  const app = await startTestApp([{ name: "money", event: "e", by: [], windows: ["1m"], lateness: "4000d" }]);
  const redis = new Redis({ path: join(app.dataDir, "redis", "redis.sock") });
  const good = '["1",1,"g1","","e",1000,null,{"n":9000000001}]';
  await redis.xadd("tm:{0}:stream", "*", "e", `[5,${good},["x"],{"a":1}]`);
  await redis.xadd("tm:{0}:stream", "*", "e", "no json");
  await redis.xadd("tm:{0}:stream", "*", "nothing", "at all");
  const dead = async () => (await app.call("GET", "/v1/dead-letters")).body.deadLetters;
  await expect.poll(async () => (await dead()).length).toBe(5);
  expect(await dead()).toMatchObject([
    { reason: "is not an array", event: "[5]" },
    { reason: "has no fingerprint", event: '[["x"]]' },
    { reason: "is not an array", event: '[{"a":1}]' },
    { reason: "the entry holds no readable events", event: "no json" },
    { reason: "the entry holds no readable events", event: "" },
  ]);
  const count = async () => (await app.call("GET", "/v1/counters/money/value?from=0&to=60000")).body.count;
  expect(await count()).toBe(1);

  // A counter made between an event's ingest and its application can find its sum out of range.
  await app.call("PUT", "/v1/counters/sums", { event: "s", by: [], sum: "data.n", windows: ["1m"], lateness: "4000d" });
  await redis.xadd("tm:{0}:stream", "*", "e", '[["2",2,"s1","","s",1000,null,{"n":9000000001}]]');
  await expect.poll(async () => (await dead()).length).toBe(6);
  const letter = (await dead()).at(-1);
  expect(letter).toMatchObject({
    reason: "data.n: beyond the range of sums",
    event: { id: "s1", data: { n: 9_000_000_001 } },
  });
  await app.call("DELETE", "/v1/counters/sums");
  await app.call("PUT", "/v1/counters/sums", { event: "s", by: [], windows: ["1m"], lateness: "4000d" });
  expect((await app.call("POST", `/v1/dead-letters/${letter.ref}/retry`)).body).toEqual({ retried: 1 });
  await expect.poll(async () => (await app.call("GET", "/v1/counters/sums/value?from=0&to=60000")).body.count).toBe(1);
  expect(await dead()).toHaveLength(5);
  redis.disconnect();
  await app.stop();
});

test("an entry in columns that an older release could not read is a dead letter that can be tried again", async () => {
  const app = await startTestApp([{ name: "all", event: "*", by: [], windows: ["1m"], lateness: "4000d" }]);
  const redis = new Redis({ path: join(app.dataDir, "redis", "redis.sock") });
  const payload = '{"columns":[["1","2"],[3,4],["a","b"],"","e",1000,[0,1],null,null]}';
  const reason = "the entry holds no readable events";
  await redis.xadd("tm:{0}:dead", "*", "entry", "1-1", "reason", reason, "payload", payload);
  const [letter] = (await app.call("GET", "/v1/dead-letters")).body.deadLetters;
  expect(letter).toMatchObject({ reason, event: payload });
  expect((await app.call("POST", `/v1/dead-letters/${letter.ref}/retry`)).body).toEqual({ retried: 1 });
  const count = async () => (await app.call("GET", "/v1/counters/all/value?from=0&to=60000")).body.count;
  await expect.poll(count).toBe(2);
  redis.disconnect();
  await app.stop();
});
