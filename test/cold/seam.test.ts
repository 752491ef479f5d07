import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { describeOnDatabases, type TestDatabase } from "../support/databases.ts";
import { readMetric } from "../support/metrics.ts";

/**
 * Two counters count the same events; the buckets of one stay in Redis, most of the other's leave it. Whatever is asked,
 * both must answer alike.
 */

const DAY = Date.parse("2015-09-12T00:00:00Z");
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const shape = {
  event: "view",
  by: ["subject", "data.country"],
  unique: "data.user",
  sum: "data.n",
  windows: ["1m", "1h", "1d"],
  lateness: "10m",
  keysMax: 60,
};
const COUNTERS = [
  { ...shape, name: "hot", keep: { "1m": "400d", "1h": "400d", "1d": "400d" } },
  { ...shape, name: "cold", keep: { "1m": "70m", "1h": "1450m", "1d": "1d" } },
];

/** Two days of events, a few of them late. */
function makeEvents(): object[] {
  return Array.from({ length: 6_000 }, (_, i) => {
    const wobble = i % 50 === 49 ? -3 * HOUR : (i * 7_919) % (5 * MINUTE);
    return {
      id: `e${i}`,
      type: "view",
      subject: i % 97 === 0 ? `/${"long".repeat(254)}${i % 3}` : `/${(i * i) % 41}`,
      time: Math.max(DAY, DAY + Math.floor((i / 6_000) * 50 * HOUR) + wobble),
      data: { country: ["FR", "DE", ""][i % 3], user: `u${(i * 31) % 700}`, n: ((i % 13) - 6) * 0.25 },
    };
  });
}

describeOnDatabases((startDatabase) => {
  describe.each([1, 3])("with %i partitions", (partitions) => suite(startDatabase, partitions));
});

function suite(startDatabase: () => Promise<TestDatabase>, partitions: number): void {
  let database: TestDatabase;
  let app: TestApp;
  beforeAll(async () => {
    database = await startDatabase();
    app = await startTestApp(COUNTERS, {
      TALLYMARK_PARTITIONS: String(partitions),
      DATABASE_URL: database.url,
    });
    const events = makeEvents();
    for (let i = 0; i < events.length; i += 500) {
      const { status, body } = await app.call("POST", "/v1/events?wait=applied", events.slice(i, i + 500));
      expect([status, body.rejected]).toEqual([200, []]);
    }
    await forgotten(app);
  });
  afterAll(async () => {
    await app.stop();
    await database.stop();
  });

  test("value, series and top of spans that lie in Redis, in cold storage and in both", async () => {
    await expectAlike(app, queries());
  });

  test("keys, page by page, with and without a prefix", async () => {
    for (const prefix of ["", "/1", "/long", "/nothing"]) {
      expect(await allKeys(app, "cold", prefix)).toEqual(await allKeys(app, "hot", prefix));
    }
    expect((await allKeys(app, "cold", "")).length).toBeGreaterThan(60);
  });

  test("late events that are readmitted into buckets that have left Redis, and into others", async () => {
    for (const counter of ["hot", "cold"]) {
      const { body } = await app.call("POST", "/v1/late/readmit", { counter, all: true });
      expect(body.readmitted).toBeGreaterThan(0);
    }
    const total = async (counter: string) =>
      (await app.call("GET", `/v1/counters/${counter}/value?from=${DAY}&to=${DAY + 60 * HOUR}`)).body.count;
    await expect.poll(() => total("hot")).toBe(6_000);
    await expect.poll(() => total("cold"), { timeout: 15_000 }).toBe(6_000);
    await expectAlike(app, queries());
  });
}

/** Waits until what can leave Redis has left it, which the metrics tell. */
async function forgotten(app: TestApp): Promise<void> {
  let before = -1;
  await vi.waitFor(
    async () => {
      const now = await readMetric(app.url, "tallymark_buckets_forgotten_total");
      const isDone = now > 2_000 && now === before;
      before = now;
      if (!isDone) throw new Error(`${now} buckets have left Redis`);
    },
    { timeout: 180_000, interval: 2_500 },
  );
}

async function expectAlike(app: TestApp, queries: readonly Query[]): Promise<void> {
  const of = async (counter: string) =>
    (await app.call("POST", "/v1/query", { queries: queries.map((query) => ({ ...query, counter })) })).body.results;
  const [hot, cold] = [await of("hot"), await of("cold")];
  for (const [i, query] of queries.entries()) {
    expect(hot[i].code, JSON.stringify(query)).toBeUndefined();
    expect({ ...cold[i], counter: "hot" }, JSON.stringify(query)).toEqual(hot[i]);
  }
}

interface Query {
  readonly feed: string;
  readonly key?: string[];
  readonly other?: boolean;
  readonly window?: string;
  readonly from?: number;
  readonly to?: number;
  readonly last?: string;
  readonly limit?: number;
  readonly by?: string;
}

function queries(): Query[] {
  const spans = [
    { last: "10m" },
    { last: "7h" },
    { last: "3d" },
    { from: DAY + 90 * MINUTE, to: DAY + 200 * MINUTE },
    { from: DAY, to: DAY + 24 * HOUR },
    { from: DAY + 23 * HOUR, to: DAY + 49 * HOUR + 17 * MINUTE },
    { from: DAY - 100 * HOUR, to: DAY + 100 * HOUR },
  ];
  const subjects = [{}, { key: ["/4", "FR"] }, { key: ["/nobody", ""] }, { other: true }];
  return spans.flatMap((span) => [
    ...subjects.map((subject) => ({ feed: "value", ...subject, ...span })),
    ...subjects.map((subject) => ({ feed: "series", window: "1h", ...subject, ...span })),
    ...("last" in span && span.last === "10m" ? [{ feed: "series", window: "1m", ...span }] : []),
    { feed: "series", window: "1d", ...span },
    { feed: "top", limit: 7, ...span },
    { feed: "top", limit: 200, by: "count", ...span },
    { feed: "top", limit: 7, by: "sum", ...span },
  ]);
}

async function allKeys(app: TestApp, counter: string, prefix: string): Promise<string[][]> {
  const keys: string[][] = [];
  for (let cursor = ""; ; ) {
    const path = `/v1/counters/${counter}/keys?limit=17&prefix=${prefix}${cursor && `&cursor=${cursor}`}`;
    const { body } = await app.call("GET", path);
    keys.push(...body.keys);
    if (body.cursor === null) return keys;
    cursor = body.cursor;
  }
}
