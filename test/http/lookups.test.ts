import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

describe.each([1, 3])("with %i partitions", (partitions) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(
      [
        { name: "minutes", event: "tick", by: ["subject"], windows: ["1m", "1h"], lateness: "4000d" },
        {
          name: "members",
          event: "visit",
          by: ["subject"],
          unique: "data.user",
          windows: ["1m", "1h"],
          lateness: "4000d",
        },
        {
          name: "money",
          event: "pay",
          by: ["subject", "data.country"],
          sum: "data.amount",
          windows: ["10s", "1m"],
          lateness: "1m",
        },
        { name: "few", event: "wide", by: ["subject"], windows: ["1h"], keysMax: 3, lateness: "1d" },
        { name: "single", event: "pay", by: [], sum: "data.amount", windows: ["1m"], lateness: "1d", top: true },
        { name: "untopped", event: "pay", by: ["subject"], windows: ["1m"], top: false },
      ],
      { TALLYMARK_PARTITIONS: String(partitions) },
    );
  });
  afterAll(() => app.stop());

  const send = async (events: object[]) => (await app.call("POST", "/v1/events?wait=applied", events)).body;
  const get = async (path: string) => (await app.call("GET", `/v1/counters/${path}`)).body;
  const iso = (seconds: number) => new Date(seconds * 1_000).toISOString();

  test("bucketing: events of one minute share a bucket, minutes fold to hours", async () => {
    const start = Date.parse("2013-05-18T15:13:58Z") / 1_000;
    for (const offset of [0, 20, 30, 70]) await send([{ type: "tick", subject: "a", time: iso(start + offset) }]);
    const a = await get(`minutes/series?key=a&from=${iso(1_368_889_980)}&to=${iso(1_368_890_160)}&window=1m`);
    expect(
      a.buckets.map((bucket: { start: string; count: number }) => [Date.parse(bucket.start) / 1_000, bucket.count]),
    ).toEqual([
      [1_368_889_980, 1],
      [1_368_890_040, 2],
      [1_368_890_100, 1],
    ]);
    const events = (second: number, n: number) =>
      Array.from({ length: n }, () => ({ type: "tick", subject: "b", time: iso(second) }));
    await send([...events(1_368_889_980, 5), ...events(1_368_890_040, 10), ...events(1_368_893_640, 7)]);
    const b = await get(`minutes/series?key=b&from=${iso(1_368_889_200)}&to=${iso(1_368_896_400)}&window=1h`);
    expect(
      b.buckets.map((bucket: { start: string; count: number }) => [Date.parse(bucket.start) / 1_000, bucket.count]),
    ).toEqual([
      [1_368_889_200, 15],
      [1_368_892_800, 7],
    ]);
    expect(b.count).toBe(22);
  });

  test("identity: one id and source count once, whatever the other fields say", async () => {
    const before = (await get("minutes/value?from=0&to=2000000000000")).count;
    const same = Array.from({ length: 1_000 }, (_, i) => ({
      id: "one",
      source: "meter",
      type: "tick",
      time: 1_600_000_000_000 + i * 60_000,
    }));
    expect(await send(same)).toMatchObject({ applied: 1, duplicates: 999 });
    expect(await send([{ id: "one", source: "meter", type: "another" }])).toMatchObject({ applied: 0, duplicates: 1 });
    expect(await send([{ id: "one", source: "other meter", type: "tick", time: 1_600_000_000_000 }])).toMatchObject({
      applied: 1,
    });
    expect((await get("minutes/value?from=0&to=2000000000000")).count).toBe(before + 2);
  });

  test("distinct: estimates unite over buckets, keys and partitions", async () => {
    const visit = (subject: string, user: string | number, minute: number) => ({
      type: "visit",
      subject,
      time: 1_600_000_000_000 + minute * 60_000,
      data: { user },
    });
    const span = "from=1600000000000&to=1600003600000";
    const numbers = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => visit("n", from + i, from));
    await send(numbers(1, 5));
    expect((await get(`members/value?key=n&${span}`)).unique).toBe(5);
    await send(numbers(6, 10));
    expect((await get(`members/value?key=n&${span}`)).unique).toBe(10);
    const sets = [
      ["a", "b", "c"],
      ["b", "c", "d"],
      ["c", "d", "e"],
    ];
    await send(sets.flatMap((users, minute) => users.map((user) => visit("u", user, minute))));
    expect(await get(`members/value?key=u&${span}`)).toMatchObject({ count: 9, unique: 5 });
    const { buckets } = await get(`members/series?key=u&${span}&window=1m`);
    expect(buckets.slice(0, 3).map(({ unique }: { unique: number }) => unique)).toEqual([3, 3, 3]);
  });

  test("sums are exact decimals, and strings beyond 2^53−1 micro-units", async () => {
    const pay = (amount: unknown, country = "FR") => ({
      type: "pay",
      subject: "s",
      time: 1_600_000_000_000,
      data: { amount, country },
    });
    await send([0.1, 0.2, 0.7, -0.0000005, 1.0000005, "5", null].map((amount) => pay(amount)));
    const span = "from=1600000000000&to=1600000060000";
    expect((await get(`money/value?key=s&key=FR&${span}`)).sum).toBe(2);
    await send(Array.from({ length: 2_000 }, () => pay(9_000_000_000, "DE")));
    expect((await get(`money/value?key=s&key=DE&${span}`)).sum).toBe("18000000000000");
    const top = await get(`money/top?by=sum&${span}`);
    expect(top.top).toEqual([
      { key: ["s", "DE"], count: 2_000, sum: "18000000000000" },
      { key: ["s", "FR"], count: 7, sum: 2 },
    ]);
  });

  test("a counter by no field is one series, asked for as the total", async () => {
    const total = await get("single/value?last=1m");
    expect(total).toMatchObject({ key: null, count: 2_007, sum: "18000000000002" });
    expect((await get("single/top?last=1m")).top).toEqual([{ key: [], count: 2_007, sum: "18000000000002" }]);
    expect((await get("single/keys")).keys).toEqual([[]]);
  });

  test("late events are in no window, and a duplicate of one is a duplicate", async () => {
    const late = {
      id: "late",
      type: "pay",
      subject: "late",
      time: 1_600_000_000_000 - 600_000,
      data: { country: "FR" },
    };
    // Every partition's clock has to be past it; which one the event goes to is its id's affair.
    const ahead = Array.from({ length: 60 }, (_, i) => ({
      id: `ahead${i}`,
      type: "pay",
      subject: "x",
      time: 1_600_000_050_000,
    }));
    await send(ahead);
    expect(await send([late])).toMatchObject({ applied: 0, late: 1, duplicates: 0 });
    expect(await send([late])).toMatchObject({ late: 0, duplicates: 1 });
    expect((await get("money/value?key=late&key=FR&from=1599990000000&to=1600010000000")).count).toBe(0);
  });

  test("beyond keysMax, keys are counted together", async () => {
    const wide = (subject: string) => ({ type: "wide", subject, time: 1_600_000_000_000 });
    await send(["a", "b", "c"].map(wide));
    await send([wide("d"), wide("a"), wide("e"), wide("d")]);
    const span = "from=1600000000000&to=1600003600000";
    expect((await get("few/keys")).keys).toEqual([["a"], ["b"], ["c"]]);
    expect(await get(`few/value?other=true&${span}`)).toMatchObject({ key: null, other: true, count: 3 });
    expect((await get(`few/value?key=d&${span}`)).count).toBe(0);
    expect((await get(`few/value?key=a&${span}`)).count).toBe(2);
    expect((await get(`few/value?${span}`)).count).toBe(7);
    expect((await get(`few/top?${span}`)).top.map(({ key }: { key: string[] }) => key[0])).toEqual(["a", "b", "c"]);
  });

  test("keys come in code point order, by prefix, page by page", async () => {
    const names = ["", "/", "/a", "/b", "é", "\uffee", "😀", "a\u0000b", "a\u0001"];
    await app.call("PUT", "/v1/counters/named", {
      event: "name",
      by: ["subject", "data.x"],
      windows: ["1h"],
      lateness: "1d",
    });
    await send(names.map((subject) => ({ type: "name", subject, time: 1_600_000_000_000, data: { x: 1 } })));
    const order = ["", "/", "/a", "/b", "a\u0000b", "a\u0001", "é", "\uffee", "😀"];
    const found: string[] = [];
    let cursor: string | null = "";
    do {
      const page: { keys: string[][]; cursor: string | null } = await get(
        `named/keys?limit=2${cursor && `&cursor=${cursor}`}`,
      );
      expect(page.keys.length).toBeLessThanOrEqual(2);
      found.push(...page.keys.map(([subject]) => subject as string));
      cursor = page.cursor;
    } while (cursor);
    expect(found).toEqual(order);
    expect((await get(`named/keys?prefix=${encodeURIComponent("/")}`)).keys).toEqual([
      ["/", "1"],
      ["/a", "1"],
      ["/b", "1"],
    ]);
    expect((await get(`named/value?key=${encodeURIComponent("a\u0000b")}&key=1&last=1h`)).count).toBe(1);
  });

  test.each([
    ["minutes/value", "invalid_span", 400],
    ["minutes/value?last=5x", "invalid_span", 400],
    ["minutes/value?last=1h&from=1&to=2", "invalid_span", 400],
    ["minutes/value?from=5&to=5", "invalid_span", 400],
    ["minutes/value?from=5", "invalid_span", 400],
    ["minutes/value?from=x&to=y", "invalid_span", 400],
    ["minutes/value?last=1h&key=a&key=b", "invalid_key", 400],
    ["minutes/series?last=1h&window=7m", "invalid_window", 400],
    ["minutes/series?last=4000d&window=1m", "invalid_span", 400],
    ["minutes/top?last=1h&limit=0", "invalid_parameter", 400],
    ["minutes/top?last=1h&limit=1001", "invalid_parameter", 400],
    ["minutes/top?last=1h&by=sum", "invalid_parameter", 400],
    ["minutes/keys?limit=5000", "invalid_parameter", 400],
    ["minutes/keys?cursor=%20", "invalid_parameter", 400],
    ["untopped/top?last=1h", "top_disabled", 409],
    ["nobody/value?last=1h", "unknown_counter", 404],
  ])("%s → %s", async (path, code, status) => {
    const answer = await app.call("GET", `/v1/counters/${path}`);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers.get("content-type")).toContain("application/problem+json");
  });

  test("many lookups in one request, each an answer or a problem", async () => {
    const queries = [
      { counter: "few", feed: "value", from: "2020-09-13T12:00:00Z", to: "2020-09-13T13:00:00Z", key: ["a"] },
      { counter: "few", feed: "series", from: 1_600_000_000_000, to: 1_600_003_600_000 },
      { counter: "few", feed: "top", last: "1h", limit: 1 },
      { counter: "nobody", feed: "value", last: "1h" },
      { counter: "few", feed: "sideways" },
      null,
    ];
    const { status, body } = await app.call("POST", "/v1/query", { queries });
    expect(status).toBe(200);
    expect(body.results).toHaveLength(6);
    expect(body.results[0]).toMatchObject({ key: ["a"], count: 2 });
    expect(body.results[1].buckets).toHaveLength(2);
    expect(body.results[2].top).toEqual([{ key: ["a"], count: 2 }]);
    expect(body.results.slice(3).map(({ status }: { status: number }) => status)).toEqual([404, 400, 400]);
  });

  test("a span over all of history costs no more than its data", async () => {
    const { count, from, to } = await get("few/value?from=1970-01-01T00:00:00Z&to=9999-12-31T00:00:00Z");
    expect([count, from, to]).toEqual([7, "1970-01-01T00:00:00.000Z", "9999-12-31T00:00:00.000Z"]);
  });

  test("before the first event there are zeros and no watermark", async () => {
    await app.call("PUT", "/v1/counters/empty", { event: "never" });
    expect(await get("empty/value?last=5m")).toMatchObject({ key: null, count: 0, watermark: null, final: false });
    expect((await get("empty/series?last=5m")).buckets).toHaveLength(5);
    expect((await get("empty/top?last=5m")).top).toEqual([]);
    expect((await get("empty/keys")).keys).toEqual([]);
  });
});
