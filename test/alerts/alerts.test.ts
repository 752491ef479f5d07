import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { JOBS_PREFIX } from "../../src/redis/keys.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { ok, Receiver, verify } from "./receiver.ts";

/** The whole service in this process: rules over HTTP, events in, webhooks out. */

let app: TestApp;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await Receiver.start();
  app = await startTestApp([{ name: "views", event: "view", by: ["subject"], windows: ["1s", "1m"], sum: "data.n" }], {
    TALLYMARK_WEBHOOK_ALLOW_PRIVATE: "1",
  });
});
afterAll(async () => {
  await app?.stop();
  await receiver?.stop();
});

const PATIENCE = { timeout: 15_000, interval: 50 };

test("a rule fires once, tells its receiver, and resolves", { timeout: 60_000 }, async () => {
  const { status, headers, body } = await app.call("POST", "/v1/alerts", {
    name: "busy",
    counter: "views",
    key: ["/"],
    last: "3s",
    op: ">",
    threshold: 4,
    webhook: { url: receiver.url },
  });
  expect([status, body.webhook.secret]).toEqual([201, expect.stringMatching(/^whsec_/)]);
  const path = headers.get("location") as string;
  const events = Array.from({ length: 5 }, (_, i) => ({ id: `a${i}`, type: "view", subject: "/" }));
  await app.call("POST", "/v1/events?wait=applied", events);
  await expect.poll(() => receiver.types(), PATIENCE).toEqual(["alert.firing"]);
  expect((await app.call("GET", path)).body).toMatchObject({ state: "firing", name: "busy" });
  await expect.poll(() => receiver.types(), PATIENCE).toEqual(["alert.firing", "alert.resolved"]);
  for (const message of receiver.messages) verify(body.webhook.secret, message);
  const [firing, resolved] = receiver.messages;
  expect(firing!.body.data).toMatchObject({ counter: "views", key: ["/"], value: 5, threshold: 4, op: ">" });
  expect(resolved!.body.data.firing).toBe(firing!.id);
  const history = await app.call("GET", `${path}/events`);
  expect(history.body.events.map(({ id, delivery }: never) => [id, (delivery as { outcome: string }).outcome])).toEqual(
    [
      [resolved!.id, "delivered"],
      [firing!.id, "delivered"],
    ],
  );
  expect((await app.call("GET", path)).body).toMatchObject({ state: "inactive", since: null, value: 0 });
});

test("a message whose job was lost with BullMQ's keys arrives all the same", { timeout: 90_000 }, async () => {
  receiver.messages.length = 0;
  receiver.answer = (_, response) => void response.writeHead(503).end();
  const hooked = { name: "lost", counter: "views", key: ["/lost"], last: "1h", op: ">", threshold: 0 };
  const { body } = await app.call("POST", "/v1/alerts", { ...hooked, webhook: { url: receiver.url } });
  await app.call("POST", "/v1/events?wait=applied", { type: "view", subject: "/lost" });
  const path = `/v1/alerts/${body.id}/events`;
  const delivery = async () => (await app.call("GET", path)).body.events[0]?.delivery.outcome;
  await expect.poll(delivery, PATIENCE).toBe("retrying");
  const redis = new Redis({ path: join(app.dataDir, "redis", "redis.sock") });
  await redis.unlink(...(await redis.keys(`${JOBS_PREFIX}:deliver:*`)));
  redis.disconnect();
  receiver.answer = ok;
  await expect.poll(delivery, { timeout: 60_000, interval: 200 }).toBe("delivered");
  expect(new Set(receiver.messages.map(({ id }) => id)).size).toBe(1);
});

const RULE = { name: "r", counter: "views", key: null, last: "1h", op: ">", threshold: 1_000_000 };
const make = async (more: object = {}) => (await app.call("POST", "/v1/alerts", { ...RULE, ...more })).body;

test.each([
  [{ name: "" }, "name"],
  [{ counter: "nobody" }, "counter: is not the name of a counter"],
  [{ key: ["a", "b"] }, "key: must have one value for each field the counter counts by (subject), in order"],
  [{ key: 5 }, "key: must be"],
  [{ measure: "unique" }, 'measure: counter "views" keeps no unique'],
  [{ measure: "mean" }, "measure: must be equal to one of the allowed values"],
  [{ last: "5 minutes" }, "last: must be <n>s"],
  [{ last: "10000d" }, "last: makes up more than 1000 buckets"],
  [{ op: "==" }, "op: must be equal to one of the allowed values"],
  [{ threshold: "5" }, "threshold: must be number"],
  [{ for: "soon" }, "for: must be <n>s"],
  [{ keepFiring: "-1s" }, "keepFiring: must be <n>s"],
  [{ resolve: 2_000_000 }, "resolve: must be at most the threshold with >"],
  [{ compare: "last week" }, "compare: must be equal to constant"],
  [{ webhook: { url: "ftp://x" } }, "webhook.url: must begin with http:// or https://"],
  [{ webhook: { url: "http://x", secret: "whsec_c2hvcnQ=" } }, "webhook.secret: must be whsec_"],
  [{ webhook: { url: "http://x", to: 1 } }, "webhook.to: is not a field of an alert"],
  [{ extra: 1 }, "extra: is not a field of an alert"],
])("%o is refused, by field and rule", async (more, detail) => {
  for (const [method, path] of [
    ["POST", "/v1/alerts"],
    ["PUT", `/v1/alerts/${(await make()).id}`],
  ] as const) {
    const { status, body } = await app.call(method, path, { ...RULE, ...more });
    expect([status, body.code, body.detail]).toEqual([400, "invalid_alert", expect.stringContaining(detail)]);
  }
});

test("bodies that are no alert, and alerts that are not there", async () => {
  for (const body of ["[]", "5", "null", '"x"']) {
    expect((await app.call("POST", "/v1/alerts", body)).body.code).toBe("invalid_alert");
  }
  for (const [method, path, body] of [
    ["GET", "/v1/alerts/nobody"],
    ["GET", "/v1/alerts/=version"],
    ["PUT", "/v1/alerts/nobody", RULE],
    ["DELETE", "/v1/alerts/nobody"],
    ["GET", "/v1/alerts/nobody/events"],
    ["POST", "/v1/alerts/nobody/silence", { for: "1h" }],
  ] as const) {
    expect([path, (await app.call(method, path, body)).body.code]).toEqual([path, "unknown_alert"]);
  }
  const { id } = await make();
  expect((await app.call("GET", `/v1/alerts/${id}/events?cursor=x`)).status).toBe(400);
  expect((await app.call("POST", `/v1/alerts/${id}/silence`, { for: "soon" })).body.detail).toContain("for: must be");
  expect((await app.call("POST", `/v1/alerts/${id}/events/evt_x/resend`)).body.code).toBe("alert_conflict");
});

test("a secret is shown when it is set, and never again", async () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
  const made = await make({ webhook: { url: receiver.url } });
  const path = `/v1/alerts/${made.id}`;
  expect(made.webhook.secret).toMatch(/^whsec_/);
  const put = (webhook: object) => app.call("PUT", path, { ...RULE, webhook });
  expect((await put({ url: receiver.url })).body.webhook).toEqual({ url: receiver.url, format: "standard" });
  expect((await put({ url: receiver.url, secret })).body.webhook.secret).toBe(secret);
  expect(JSON.stringify((await app.call("GET", path)).body)).not.toContain("whsec_");
  expect(JSON.stringify((await app.call("GET", "/v1/alerts?limit=1000")).body)).not.toContain("whsec_");
});

test("alerts are listed page by page, and a deleted one is gone", async () => {
  const { id } = await make({ name: "last of all" });
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { body } = await app.call("GET", `/v1/alerts?limit=7&cursor=${cursor}`);
    ids.push(...body.alerts.map((alert: { id: string }) => alert.id));
    cursor = body.cursor;
  }
  expect([ids, new Set(ids).size]).toEqual([ids.toSorted(), ids.length]);
  expect(ids).toContain(id);
  expect((await app.call("DELETE", `/v1/alerts/${id}`)).status).toBe(204);
  expect((await app.call("GET", `/v1/alerts/${id}`)).status).toBe(404);
});

test("a silence is shown, and can be ended", async () => {
  const { id } = await make();
  const { body } = await app.call("POST", `/v1/alerts/${id}/silence`, { for: "1h" });
  expect(Math.abs(Date.parse(body.silencedUntil) - Date.now() - 3_600_000)).toBeLessThan(10_000);
  expect((await app.call("DELETE", `/v1/alerts/${id}/silence`)).body.silencedUntil).toBeNull();
});

test("an endpoint that is gone is closed, opened by a PUT, and sent again by hand", { timeout: 60_000 }, async () => {
  receiver.answer = (_, response) => void response.writeHead(410).end();
  const rule = { threshold: -1, webhook: { url: receiver.url } };
  const made = await make(rule);
  const path = `/v1/alerts/${made.id}`;
  const dead = async () => (await app.call("GET", `${path}/events?outcome=dead`)).body.events;
  await expect.poll(dead, PATIENCE).toMatchObject([{ type: "firing", delivery: { status: 410, attempts: 1 } }]);
  expect((await app.call("GET", path)).body.webhook).toMatchObject({ disabled: true });
  const [event] = await dead();
  const resend = () => app.call("POST", `${path}/events/${event.id}/resend`);
  expect((await resend()).body.code).toBe("alert_conflict");
  receiver.answer = ok;
  expect((await app.call("PUT", path, { ...RULE, ...rule })).body.webhook).not.toHaveProperty("disabled");
  expect((await resend()).status).toBe(202);
  await expect
    .poll(async () => (await app.call("GET", `${path}/events`)).body.events[0].delivery, PATIENCE)
    .toMatchObject({
      outcome: "delivered",
      resends: 1,
    });
  const sent = receiver.messages.filter(({ body }) => body.data.alert === made.id);
  expect(sent.map(({ id }) => id)).toEqual([event.id, event.id]);
  verify(made.webhook.secret, sent[1]!);
  const { body: metrics } = await app.call("GET", "/metrics");
  expect(metrics).toMatch(/tallymark_webhook_attempts_total\{outcome="dead"\} 1/);
  expect(metrics).toMatch(/tallymark_alert_transitions_total\{type="firing"\} \d/);
});
