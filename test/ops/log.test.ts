import { afterAll, beforeAll, expect, test } from "vitest";
import { createLogger } from "../../src/log.ts";
import { Connections } from "../../src/redis/client.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** What is logged, line by line. */
function capture() {
  const lines: string[] = [];
  return { log: createLogger("info", { write: (line) => lines.push(line) }), lines };
}

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

test("fields that hold secrets are redacted, and nothing else is", () => {
  const { log, lines } = capture();
  log.info({ headers: { authorization: "Bearer s3cret" }, webhook: { url: "https://a.example/x", secret: "s3cret" } });
  log.info({ token: "s3cret", counter: "sales" }, "said");
  expect(lines.join()).not.toContain("s3cret");
  expect(JSON.parse(lines[1] as string)).toMatchObject({ token: "[redacted]", counter: "sales", msg: "said" });
  expect(JSON.parse(lines[0] as string).webhook.url).toBe("https://a.example/x");
});

test.each([
  [
    "token of a query",
    "GET /v1/live?feed=top&token=s3cret&counter=a",
    "GET /v1/live?feed=top&token=[redacted]&counter=a",
  ],
  ["user and password of a URL", "redis+cluster://me:s3cret@a:1,b:2", "redis+cluster://[redacted]@a:1,b:2"],
  ["password of a database", "postgres://me:s3cret@host/db", "postgres://[redacted]@host/db"],
  ["header", "with Authorization: Bearer s3cret-x.y", "with Authorization: Bearer [redacted]"],
  ["secret of a webhook", "signed by whsec_s3cretAA+/=", "signed by [redacted]"],
])("a secret within a text is redacted: %s", (_, text, expected) => {
  const { log, lines } = capture();
  log.warn({ err: new Error(text) }, text);
  expect(lines.join()).not.toContain("s3cret");
  const { msg, err } = JSON.parse(lines[0] as string);
  expect([msg, err.message]).toEqual([expected, expected]);
});

test("the arguments of a command that Redis refused are not logged", async () => {
  const { log, lines } = capture();
  const client = await redis.connections.open("prompt");
  const failed = await client
    .hset("h", "field", "s3cret")
    .then(
      () => client.incr("h"),
      () => null,
    )
    .catch((error: unknown) => error);
  log.error({ err: failed }, "refused");
  const auth = await client.call("auth", "user", "s3cret").catch((error: unknown) => error);
  expect((auth as { command: { args: string[] } }).command.args).toContain("s3cret");
  log.error({ err: auth }, "refused");
  expect(lines).toHaveLength(2);
  expect(lines.join()).not.toContain("s3cret");
  expect(lines[1]).toContain("WRONGPASS");
});

test("a connection that is refused says why without its password", async () => {
  const { log, lines } = capture();
  const told: Error[] = [];
  const options = { port: 1, password: "s3cret", host: "127.0.0.1" };
  const connections = new Connections({ kind: "single", options }, (error) => told.push(error));
  await connections.open("prompt").catch(() => undefined);
  expect(told.length).toBeGreaterThan(0);
  log.warn({ err: told[0] }, "Redis connection failed");
  connections.closeAll();
  expect(lines.join()).toContain("ECONNREFUSED");
  expect(lines.join()).not.toContain("s3cret");
});
