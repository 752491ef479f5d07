import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { LiveClient } from "../live/client.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { bearer, keysFor, type SharedRedis, startSharedRedis, VIEWS } from "./support.ts";

/** How soon a change must be in force everywhere, ms. */
const IN_FORCE_MS = 2_000;

let redis: SharedRedis;
let apps: readonly [TestApp, TestApp];

beforeAll(async () => {
  redis = await startSharedRedis();
  const env = { REDIS_URL: redis.url };
  apps = [await startTestApp([VIEWS], env), await startTestApp(null, env)];
});
afterAll(async () => {
  for (const app of apps) await app.stop();
  await redis.stop();
});

async function make(body: object, admin?: string) {
  const answer = await apps[0].call("POST", "/v1/keys", body, admin ? bearer(admin) : {});
  expect(answer.status).toBe(201);
  return answer.body as { id: string; key: string; expiresAt: string | null };
}

const statusOn = async (app: TestApp, key?: string) =>
  (await app.call("GET", "/v1/counters", undefined, key ? bearer(key) : {})).status;

const inForce = (read: () => Promise<unknown>) => expect.poll(read, { timeout: IN_FORCE_MS, interval: 20 });

let admin: string;

test("the first key must be an admin's, and closes every process", async () => {
  expect(await statusOn(apps[1])).toBe(200);
  const viewer = await LiveClient.open(apps[1].url);
  const refused = await apps[0].call("POST", "/v1/keys", { name: "reader", scopes: ["read"] });
  expect([refused.status, refused.body.code]).toEqual([409, "api_key_conflict"]);
  const made = await apps[0].call("POST", "/v1/keys", { name: "first", scopes: ["admin", "read", "ingest"] });
  expect(made.headers.get("cache-control")).toBe("no-store");
  admin = made.body.key;
  expect(admin).toMatch(/^tm_[\w-]{43}$/);
  expect(await statusOn(apps[0])).toBe(401);
  await inForce(() => statusOn(apps[1])).toBe(401);
  expect(await statusOn(apps[1], admin)).toBe(200);
  // Who had come in without a key is out.
  expect((await viewer.closed).code).toBe(4401);
});

test("nothing that is stored or listed lets anybody in", async () => {
  const { id, key } = await make({ name: "secretive", scopes: ["read"], rateLimit: "5/s" }, admin);
  const stored = await redis.client.hgetall("tm:{meta}:keys");
  expect(Object.keys(stored)).toContain(id);
  expect(JSON.stringify(stored)).not.toContain(key.slice(3, 20));
  const { body } = await apps[1].call("GET", "/v1/keys", undefined, bearer(admin));
  expect(JSON.stringify(body)).not.toMatch(/tm_|hash|[0-9a-f]{40}/);
  expect(body.keys.at(-1)).toMatchObject({ id, name: "secretive", scopes: ["read"], rateLimit: "5/s" });
});

test("a revoked key is out everywhere within two seconds, with what it had opened", async () => {
  const { id, key } = await make({ name: "leaked", scopes: ["read"] }, admin);
  await inForce(() => statusOn(apps[1], key)).toBe(200);
  const viewer = await LiveClient.open(apps[1].url, bearer(key));
  const stream = await fetch(`${apps[1].url}/v1/live/sse?feed=stats&token=${key}`);
  expect((await apps[0].call("DELETE", `/v1/keys/${id}`, undefined, bearer(admin))).status).toBe(204);
  const started = performance.now();
  expect(await statusOn(apps[0], key)).toBe(401);
  await inForce(() => statusOn(apps[1], key)).toBe(401);
  expect(await viewer.closed).toEqual({ code: 4401, reason: "the API key is not valid any more" });
  await stream.text(); // comes to an end
  expect(performance.now() - started).toBeLessThan(IN_FORCE_MS);
});

test("also without the announcement, which may be lost", async () => {
  const { id, key } = await make({ name: "quiet", scopes: ["read"] }, admin);
  await inForce(() => statusOn(apps[1], key)).toBe(200);
  await redis.client.hdel("tm:{meta}:keys", id);
  await inForce(() => statusOn(apps[1], key)).toBe(401);
});

test("a key ends by itself", async () => {
  const { key, expiresAt } = await make({ name: "brief", scopes: ["read"], expires: "2s" }, admin);
  expect(await statusOn(apps[0], key)).toBe(200);
  const viewer = await LiveClient.open(apps[0].url, bearer(key));
  expect((await viewer.closed).code).toBe(4401);
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expiresAt as string));
  expect(await statusOn(apps[0], key)).toBe(401);
});

test("the last admin cannot be revoked: nobody could make a key any more", async () => {
  const { body } = await apps[0].call("GET", "/v1/keys", undefined, bearer(admin));
  const revoke = (id: string, key: string) => apps[0].call("DELETE", `/v1/keys/${id}`, undefined, bearer(key));
  const last = await revoke(body.keys[0].id, admin);
  expect([last.status, last.body.code]).toEqual([409, "api_key_conflict"]);
  expect((await revoke("0123456789abcdef", admin)).body.code).toBe("unknown_api_key");
  const second = await make({ name: "second", scopes: ["admin", "read"] }, admin);
  // Both at once: one of them stays.
  const both = await Promise.all([revoke(body.keys[0].id, admin), revoke(second.id, admin)]);
  expect(both.map(({ status }) => status).sort()).toEqual([204, 409]);
  admin = both[0].status === 204 ? second.key : admin;
  expect(await statusOn(apps[0], admin)).toBe(200);
});

test("all faults of a key are told at once, each with its field", async () => {
  const bad = { scopes: ["read", "write"], expires: "soon", rateLimit: "fast", colour: "red" };
  const { status, body } = await apps[0].call("POST", "/v1/keys", bad, bearer(admin));
  expect([status, body.code]).toEqual([400, "invalid_api_key"]);
  expect(body.faults.map(({ field }: { field: string }) => field).sort()).toEqual([
    "colour",
    "expires",
    "name",
    "rateLimit",
    "scopes",
  ]);
  for (const none of [[], null, "x"]) {
    expect((await apps[0].call("POST", "/v1/keys", JSON.stringify(none), bearer(admin))).status).toBe(400);
  }
});

test("keys of a file stand beside them, and are not revoked over HTTP", async () => {
  const file = await keysFor({ ops: ["admin"] });
  const app = await startTestApp(null, { REDIS_URL: redis.url, TALLYMARK_API_KEYS_FILE: file.path });
  onTestFinished(() => app.stop());
  const { body } = await app.call("GET", "/v1/keys", undefined, bearer(file.keys.ops));
  expect(body.keys[0]).toMatchObject({ name: "ops", createdAt: null });
  expect(body.keys.length).toBeGreaterThan(1);
  const answer = await app.call("DELETE", `/v1/keys/${body.keys[0].id}`, undefined, bearer(file.keys.ops));
  expect([answer.status, answer.body.code]).toEqual([409, "api_key_conflict"]);
  expect(await statusOn(apps[0], file.keys.ops)).toBe(401);
});

test("a service that others can reach starts with keys, and stays closed when they are lost", async () => {
  const app = await startTestApp(null, { REDIS_URL: redis.url, TALLYMARK_HOST: "0.0.0.0" });
  onTestFinished(() => app.stop());
  const url = app.url.replace("0.0.0.0", "127.0.0.1");
  const status = async () => (await fetch(`${url}/v1/counters`, { headers: bearer(admin) })).status;
  expect(await status()).toBe(200);
  await redis.client.del("tm:{meta}:keys");
  await inForce(status).toBe(401);
  // On loopback alone, no key means that none is needed.
  await inForce(() => statusOn(apps[0])).toBe(200);
  await expect(startTestApp(null, { REDIS_URL: redis.url, TALLYMARK_HOST: "0.0.0.0" })).rejects.toMatchObject({
    name: "ConfigurationError",
    faults: [expect.stringContaining("TALLYMARK_HOST: 0.0.0.0 can be reached from outside")],
  });
});
