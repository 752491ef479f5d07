import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type Answer, startTestApp, type TestApp } from "../support/app.ts";
import { bearer, keysFile, newKey, startSharedRedis, VIEWS } from "./support.ts";

const KEYS = { hourly: newKey(), quick: newKey(), general: newKey(), admin: newKey() };

let app: TestApp;
beforeAll(async () => {
  const path = await keysFile([
    { name: "hourly", key: KEYS.hourly, scopes: ["ingest", "read"], rateLimit: "10/h" },
    { name: "quick", key: KEYS.quick, scopes: ["ingest"], rateLimit: "5/s" },
    { name: "general", key: KEYS.general, scopes: ["read"] },
    { name: "admin", key: KEYS.admin, scopes: ["admin"], rateLimit: "100000/s" },
  ]);
  app = await startTestApp([VIEWS], { TALLYMARK_API_KEYS_FILE: path, TALLYMARK_RATE_LIMIT: "3/h" });
});
afterAll(() => app.stop());

const send = (key: string, count: number) =>
  app.call(
    "POST",
    "/v1/events",
    Array.from({ length: count }, () => ({ type: "view" })),
    bearer(key),
  );
const read = (key: string) => app.call("GET", "/v1/counters", undefined, bearer(key));
const told = ({ status, headers }: Answer) => [status, headers.get("ratelimit"), headers.get("ratelimit-policy")];

describe("a key's limit", () => {
  test("counts events of ingest, all or nothing, and tells what is left", async () => {
    const first = await send(KEYS.hourly, 7);
    expect(told(first)).toEqual([202, '"events";r=3;t=3600', '"events";q=10;w=3600']);
    const second = await send(KEYS.hourly, 4);
    expect([second.status, second.body.code]).toEqual([429, "rate_limited"]);
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(3_500);
    // What was refused was not taken from it.
    expect(told(await send(KEYS.hourly, 3))[0]).toBe(202);
    expect(told(await send(KEYS.hourly, 1))).toEqual([
      429,
      expect.stringMatching(/^"events";r=0;t=3[56]\d\d$/),
      '"events";q=10;w=3600',
    ]);
  });

  test("counts other requests apart from events", async () => {
    const answers = [];
    for (let i = 0; i < 11; i++) answers.push(await read(KEYS.hourly));
    expect(answers.map(({ status }) => status)).toEqual([...Array(10).fill(200), 429]);
    expect(told(answers[9] as Answer)[1]).toMatch(/^"requests";r=0;t=\d+$/);
  });

  test("refuses for good what no such limit will ever let through", async () => {
    const { status, body } = await send(KEYS.hourly, 11);
    expect([status, body.code]).toEqual([413, "too_large"]);
    expect(body.detail).toContain("the limit is 10 events in 3600 s");
  });

  test("begins anew when its time is over, as Retry-After says", async () => {
    expect((await send(KEYS.quick, 5)).status).toBe(202);
    const refused = await send(KEYS.quick, 1);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    await expect.poll(async () => (await send(KEYS.quick, 1)).status, { timeout: 1_500, interval: 50 }).toBe(202);
  });
});

test("a key without a limit has the service's; an open route has none", async () => {
  const answers = [];
  for (let i = 0; i < 4; i++) answers.push(await read(KEYS.general));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
  expect(told(await app.call("GET", "/livez"))).toEqual([200, null, null]);
});

test("without keys, each address has the service's limit; without a limit, nothing is asked", async () => {
  const open = await startTestApp([VIEWS], { TALLYMARK_RATE_LIMIT: "2/h" });
  onTestFinished(() => open.stop());
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await open.call("GET", "/v1/counters")).status);
  expect(statuses).toEqual([200, 200, 429]);
  const free = await startTestApp([VIEWS]);
  onTestFinished(() => free.stop());
  expect(told(await free.call("GET", "/v1/counters"))).toEqual([200, null, null]);
});

test("all processes share one count; while Redis is away, each counts for itself", async () => {
  const redis = await startSharedRedis();
  onTestFinished(() => redis.stop());
  const env = { REDIS_URL: redis.url, TALLYMARK_RATE_LIMIT: "2/h" };
  const [one, other] = [await startTestApp([VIEWS], env), await startTestApp(null, env)];
  onTestFinished(() => Promise.all([one.stop(), other.stop()]).then(() => undefined));
  const ask = async (app: TestApp) => (await app.call("GET", "/v1/counters")).status;
  expect([await ask(one), await ask(other), await ask(one), await ask(other)]).toEqual([200, 200, 429, 429]);
  await redis.stop();
  expect([await ask(one), await ask(one), await ask(one)]).toEqual([200, 200, 429]);
  expect(await ask(other)).toBe(200);
});
