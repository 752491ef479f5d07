import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { readCounterState } from "../../src/buckets/state.ts";
import { validateEvent } from "../../src/core/event.ts";
import { FUTURE_MAX_MS } from "../../src/core/limits.ts";
import { readNew } from "../../src/stream/entries.ts";
import { call, startTestApp, type TestApp } from "../support/app.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis } from "../support/redis.ts";
import { removeTemporaryDirectories, startService } from "../support/service.ts";

const DAY = 86_400_000;

describe.each([
  { clocks: "a day behind", off: -DAY },
  { clocks: "a day ahead", off: DAY },
])("producer and worker with clocks $clocks", ({ off }) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp([{ name: "all", event: "*", by: [], windows: ["1s", "1h"], lateness: "2s" }]);
  });
  afterEach(() => void vi.useRealTimers());
  afterAll(() => app.stop());

  test("count what they get into the bucket of its arrival in Redis, and close none before its time", async () => {
    const began = Date.now();
    const send = async (body: object) => (await app.call("POST", "/v1/events?wait=applied", body)).body;
    vi.useFakeTimers({ toFake: ["Date"], now: began + off });
    expect(await send({ type: "t" })).toMatchObject({ applied: 1, late: 0 });
    expect(await send({ id: "given", type: "t" })).toMatchObject({ applied: 1, late: 0 });
    vi.useRealTimers();
    const [from, to] = [Math.floor(began / 1_000) * 1_000, Math.ceil((Date.now() + 1) / 1_000) * 1_000];
    const { body } = await app.call("GET", `/v1/counters/all/series?window=1s&from=${from}&to=${to}`);
    expect(body.buckets.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(2);
    expect(Date.parse(body.watermark)).toBeGreaterThanOrEqual(from);
    expect(Date.parse(body.watermark)).toBeLessThanOrEqual(to);
    // A producer whose clock is right is not late for one whose clock is wrong.
    expect(await send({ id: "right", type: "t", time: Date.now() })).toMatchObject({ applied: 1, late: 0 });
  });
});

test("arrival by the worker's own clock, instead of the entry's id, would count it a day off (the mutant)", async () => {
  const redis = await startTestRedis();
  const harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1s", "1h"], lateness: "2s" }],
  });
  const partition = harness.partitions[0]!;
  const owner = await harness.own(partition);
  await harness.send([makeEvent({ id: "a" })]);
  const entries = await readNew(harness.client, partition, 1, 1);
  await owner.apply(entries.map((entry) => ({ ...entry, arrival: Date.now() + DAY })));
  const { time } = await readCounterState(harness.client, harness.partitions, harness.counter("all"));
  expect(time?.newest).toBeGreaterThan(Date.now() + DAY / 2);
  harness.close();
  await redis.stop();
});

test("an event may be five minutes ahead of its arrival, and not a millisecond more", () => {
  const now = Date.parse("2024-02-29T12:00:00Z");
  const at = (time: number) => validateEvent({ type: "t", time }, now, () => "id");
  expect(at(now + FUTURE_MAX_MS)).toMatchObject({ time: now + FUTURE_MAX_MS });
  expect(at(now + FUTURE_MAX_MS + 1)).toMatchObject({ code: "time_in_future" });
});

describe.each(["America/St_Johns", "Europe/Berlin"])("a service that runs in the time zone %s", (TZ) => {
  afterAll(removeTemporaryDirectories);

  test("has its buckets at midnight and full hours of UTC, on leap days and when clocks are put back", async () => {
    const counters = [{ name: "all", event: "*", by: [], windows: ["1h", "1d"], lateness: "10000d" }];
    // Oldest first, so that none is late for any of the others.
    const times = [
      "1970-01-01T00:00:00Z",
      "1972-02-29T23:59:59.999Z",
      "2000-02-29T00:00:00Z",
      "2015-10-25T00:30:00Z",
      "2015-10-25T01:30:00Z",
      "2015-11-01T03:30:00-02:30",
      "2016-03-13T23:59:59+01:00",
      "2024-02-29T23:30:00-01:00",
    ];
    const { url, stop, kill } = await startService({ config: { counters }, env: { TZ } });
    onTestFinished(kill);
    const events = times.map((time, i) => ({ id: `e${i}`, type: "t", time }));
    expect((await call(url, "POST", "/v1/events?wait=applied", events)).body).toMatchObject({ applied: 8 });
    const starts = async (window: string, from: string, to: string) => {
      const { body } = await call(url, "GET", `/v1/counters/all/series?window=${window}&from=${from}&to=${to}`);
      return body.buckets.flatMap(({ start, count }: { start: string; count: number }) => (count > 0 ? [start] : []));
    };
    expect(await starts("1d", "1970-01-01T00:00:00Z", "1972-03-02T00:00:00Z")).toEqual([
      "1970-01-01T00:00:00.000Z",
      "1972-02-29T00:00:00.000Z",
    ]);
    expect(await starts("1h", "2015-10-24T00:00:00Z", "2015-11-02T00:00:00Z")).toEqual([
      "2015-10-25T00:00:00.000Z",
      "2015-10-25T01:00:00.000Z",
      "2015-11-01T06:00:00.000Z",
    ]);
    expect(await starts("1d", "2000-01-01T00:00:00Z", "2024-12-31T00:00:00Z")).toEqual([
      "2000-02-29T00:00:00.000Z",
      "2015-10-25T00:00:00.000Z",
      "2015-11-01T00:00:00.000Z",
      "2016-03-13T00:00:00.000Z",
      "2024-03-01T00:00:00.000Z",
    ]);
    expect(await stop()).toBe(0);
  });
});
