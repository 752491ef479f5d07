import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { temporaryFile } from "../cli/helpers.ts";
import { call } from "../support/app.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { bearer, newKey, startSharedRedis } from "./support.ts";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** Runs a command as a user would. */
function run(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH, ...env } });
  const written = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    written.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    written.err += chunk;
  });
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, ...written }));
  });
}

let service: Service;
beforeAll(async () => {
  service = await startService({ env: { TALLYMARK_LOG_LEVEL: "warn" } });
});
afterAll(async () => {
  await service.stop();
  await removeTemporaryDirectories();
});

let admin: string;

test("keys create, list and revoke manage the keys of a service that nobody has closed yet", async () => {
  const args = (...more: string[]) => ["keys", ...more, "--url", service.url];
  const made = await run(args("create", "--name", "me", "--scopes", "ingest, read,admin", "--expires", "90d"));
  expect(made.code).toBe(0);
  expect(made.out).toMatch(/^tm_[\w-]{43}\n$/);
  admin = made.out.trim();
  expect(made.err).toMatch(/^Made [0-9a-f]{16}\tme\tingest,read,admin\t20/);

  const refused = await run(args("list"));
  expect([refused.code, refused.out]).toEqual([1, ""]);
  expect(refused.err).toContain("answered 401: a valid API key is needed");

  const env = { TALLYMARK_API_KEY: admin };
  const other = await run(args("create", "--name", "other", "--scopes", "read", "--rate-limit", "5/m"), env);
  const listed = await run(args("list"), env);
  const rows = listed.out
    .trimEnd()
    .split("\n")
    .map((line) => line.split("\t"));
  expect(rows.map(([, name, scopes, , limit]) => [name, scopes, limit])).toEqual([
    ["me", "ingest,read,admin", "-"],
    ["other", "read", "5/m"],
  ]);
  expect((await run(args("revoke", rows[1]?.[0] as string), env)).code).toBe(0);
  const { status } = await call(service.url, "GET", "/v1/counters", undefined, bearer(other.out.trim()));
  expect(status).toBe(401);
  const wrong = await run(args("create", "--name", "x", "--scopes", "all"), env);
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining("scopes: must be a list of some of")]);
}, 120_000);

test("replay, verify, export, top and tail take the key as option or variable, and say so when it is wrong", async () => {
  const { url } = service;
  const file = await temporaryFile(`{"id":"a","type":"t","time":${Date.now() - 1_000}}\n`);
  const day = ["--from", String(Date.now() - 86_400_000), "--to", String(Date.now())];
  const replay = ["replay", file, "--url", url];
  const verify = ["verify", file, "--url", url];
  const tail = ["tail", "events", "--url", url];
  const exported = ["export", "--counter", "events", ...day, "--url", url];
  const refused = await Promise.all([
    run(replay),
    run([...verify, "--api-key", newKey()]),
    run(exported, { TALLYMARK_API_KEY: newKey() }),
    run(tail),
    run(["top", ...tail.slice(1)]),
  ]);
  expect(refused.map(({ code }) => code)).toEqual([1, 1, 1, 1, 1]);
  for (const { err } of refused) expect(err).toContain("a valid API key is needed");
  const env = { TALLYMARK_API_KEY: admin };
  const sent = await run(replay, env);
  expect(JSON.parse(sent.out)).toMatchObject({ sent: 1, applied: 1 });
  const [verified, rows] = await Promise.all([run([...verify, "--api-key", admin]), run(exported, env)]);
  expect(JSON.parse(verified.out.trim().split("\n").at(-1) as string)).toMatchObject({ differences: 0 });
  expect([rows.code, rows.out.split("\n")[1]]).toEqual([0, expect.stringMatching(/^t,/)]);
}, 120_000);

test("admin calls are in the log with who, what and outcome, whatever its level; no key is", async () => {
  const { url } = service;
  await call(url, "PUT", "/v1/counters/audited?x=1", { event: "secret-event-type" }, bearer(admin));
  await call(url, "DELETE", "/v1/counters/audited", undefined, bearer(newKey()));
  await call(url, "GET", "/v1/keys", undefined, bearer(admin));
  await call(url, "GET", `/v1/live/sse?feed=nothing&token=${admin}`);
  const lines = () =>
    service
      .stderr()
      .split("\n")
      .filter((line) => line.includes('"audit":true'));
  await expect.poll(() => lines().filter((line) => line.includes("audited")).length).toBe(2);
  const [put, remove] = lines()
    .filter((line) => line.includes("audited"))
    .map((line) => JSON.parse(line));
  expect(put).toMatchObject({
    msg: "admin call",
    key: { id: expect.stringMatching(/^[0-9a-f]{16}$/), name: "me" },
    address: "127.0.0.1",
    method: "PUT",
    path: "/v1/counters/audited",
    status: 201,
    requestId: expect.any(String),
  });
  expect(remove).toMatchObject({ key: null, method: "DELETE", status: 401 });
  expect(lines().some((line) => line.includes('"GET"'))).toBe(false);
  expect(service.stderr()).not.toMatch(/tm_|secret-event-type/);
});

test("with REDIS_URL the first key needs no service; with it, one that others can reach starts", async () => {
  const redis = await startSharedRedis();
  onTestFinished(() => redis.stop());
  const env = { REDIS_URL: redis.url };
  const outside = { ...env, TALLYMARK_HOST: "0.0.0.0" };
  await expect(startService({ env: outside })).rejects.toThrow(/ended with 78[\s\S]*there is no API key/);
  const args = ["keys", "create", "--name", "first", "--scopes"];
  expect((await run([...args, "read"], env)).err).toContain("the first key must have admin");
  const made = await run([...args, "admin,read"], env);
  expect(made.code).toBe(0);
  const reachable = await startService({ env: outside });
  onTestFinished(() => void reachable.stop());
  const url = reachable.url.replace(/\/\/[^:]+/, "//127.0.0.1");
  expect((await call(url, "GET", "/v1/counters")).status).toBe(401);
  expect((await call(url, "GET", "/v1/counters", undefined, bearer(made.out.trim()))).status).toBe(200);
  const revoke = await run(["keys", "revoke", made.err.split(/[ \t]/)[1] as string], env);
  expect([revoke.code, revoke.err]).toEqual([1, expect.stringContaining("is the last one with the scope admin")]);
}, 120_000);
