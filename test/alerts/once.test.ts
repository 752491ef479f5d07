import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { replaceRule, silenceRule } from "../../src/alerts/edit.ts";
import type { Rule } from "../../src/alerts/rule.ts";
import { Connections } from "../../src/redis/client.ts";
import { dropFromOutbox, readOutbox } from "../../src/redis/commands/alerts.ts";
import { ALERTS, alertKeys, JOBS_PREFIX } from "../../src/redis/keys.ts";
import { TcpProxy } from "../support/proxy.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { Receiver, verify } from "./receiver.ts";
import { Stage } from "./stage.ts";

/** A transition is made once whoever evaluates, and delivered at least once whatever dies on the way. */

let redis: TestRedis;
let stage: Stage;
let receiver: Receiver;
beforeAll(async () => {
  redis = await startTestRedis();
  receiver = await Receiver.start();
});
afterAll(async () => {
  await receiver.stop();
  await redis.stop();
});
afterEach(async () => {
  await stage.close();
  receiver.messages.length = 0;
  receiver.answer = (_, response) => void response.writeHead(204).end();
});

const PATIENCE = { timeout: 20_000, interval: 20 };
const types = async (rule: Rule) => (await stage.history(rule)).map(({ type }) => type);
const outcomes = async (rule: Rule) => (await stage.history(rule)).map(({ delivery }) => delivery.outcome);
const raise = (rule: Rule) =>
  replaceRule(
    stage.harness,
    rule.id,
    stage.parse({ threshold: 1_000, webhook: { url: receiver.url } }),
    () => undefined,
    stage.now,
  );
const hooked = () => stage.make({ webhook: { url: receiver.url } });

/** Three evaluators go through firing and resolving at the same time; gives the transitions of each rule. */
async function compete(): Promise<string[][]> {
  const rules = await Promise.all(Array.from({ length: 20 }, () => stage.make({})));
  const evaluators = [stage.evaluator(), stage.evaluator(), stage.evaluator()];
  const tickAll = () => Promise.all(evaluators.map((evaluator) => evaluator.tick()));
  await tickAll();
  await stage.count("/", 5);
  for (let i = 0; i < 3; i++) await tickAll();
  for (const rule of rules) await raise(rule);
  for (let i = 0; i < 3; i++) await tickAll();
  return Promise.all(rules.map(types));
}

test("three evaluators at once make each transition once", async () => {
  stage = await Stage.open(redis);
  for (const made of await compete()) expect(made).toEqual(["firing", "resolved"]);
});

test("without compare-and-set, transitions are made several times (the mutant)", async () => {
  stage = await Stage.open(redis, {
    mutate: (name, source) =>
      name === "transition"
        ? source.replace("(redis.call('HGET', INSTANCES, change.instance) or '') == change.expected", "true")
        : source,
  });
  expect((await compete()).some((made) => made.length > 2)).toBe(true);
});

test("an evaluator that froze with an old version of the rule changes nothing", async () => {
  stage = await Stage.open(redis);
  const rule = await stage.make({});
  const zombie = stage.evaluator();
  await zombie.tick();
  await stage.count("/", 5);
  // The rule changes between what the zombie read and its write.
  const hgetall = stage.client.hget.bind(stage.client);
  let raised: Promise<unknown> = Promise.resolve();
  stage.client.hget = ((...args: Parameters<typeof hgetall>) => {
    stage.client.hget = hgetall;
    const version = hgetall(...args);
    raised = version.then(() => raise(rule));
    return version;
  }) as typeof stage.client.hget;
  await Promise.all([zombie.tick(), raised]);
  await zombie.tick();
  expect(await types(rule)).toEqual([]);
});

describe("a death at each step", () => {
  test("the reply to the transition is lost: it is made once, and found by whoever comes next", async () => {
    stage = await Stage.open(redis);
    const { options } = redis.target as { options: { path?: string; host?: string; port?: number } };
    const proxy = await TcpProxy.start(options as never);
    const connections = new Connections({ kind: "single", options: { host: "127.0.0.1", port: proxy.port } }, () => {});
    const rule = await hooked();
    const evaluator = stage.evaluator(await connections.open("prompt"));
    await evaluator.tick();
    await stage.count("/", 5);
    // The first call of a script would be answered that the server does not hold it.
    const warm = await stage.make({ key: ["/"] });
    await evaluator.tick();
    expect(await types(warm)).toEqual(["firing"]);
    const [before] = await stage.history(rule);
    await raise(rule);
    const lost = proxy.loseReplyTo(ALERTS.outbox);
    await evaluator.tick();
    await lost;
    await stage.evaluator().tick();
    const history = await stage.history(rule);
    expect(history.map(({ type }) => type)).toEqual(["firing", "resolved"]);
    expect(history[1]?.firing).toBe(before?.id);
    expect(await readOutbox(stage.client, 10)).toHaveLength(2);
    connections.closeAll();
    await proxy.stop();
  });

  test("between the job and the end of its outbox entry: it is queued again, and not sent again", async () => {
    stage = await Stage.open(redis);
    const rule = await hooked();
    await stage.count("/", 5);
    await stage.evaluator().tick();
    const [entry] = await readOutbox(stage.client, 10);
    const deliveries = await stage.deliveries();
    await deliveries.relay(stage.now);
    await expect.poll(() => receiver.messages.length, PATIENCE).toBe(1);
    await expect.poll(async () => (await stage.history(rule))[0]?.delivery.outcome, PATIENCE).toBe("delivered");
    const { job, instance, event } = entry!;
    const again = ["job", job, "rule", rule.id, "instance", instance, "event", event] as const;
    await stage.client.xadd(ALERTS.outbox, "*", ...again);
    await deliveries.relay(stage.now);
    await expect
      .poll(async () => await deliveries.queue.getJobCounts("waiting", "active", "delayed"), PATIENCE)
      .toEqual({ waiting: 0, active: 0, delayed: 0 });
    expect(receiver.messages).toHaveLength(1);
  });

  test("after the message was processed: it is sent again under the same id", async () => {
    stage = await Stage.open(redis);
    const rule = await hooked();
    receiver.answer = (request, response, nth) => {
      if (nth < 3) request.socket.destroy();
      else response.writeHead(200).end();
    };
    await stage.count("/", 5);
    await stage.evaluator().tick();
    await (await stage.deliveries()).relay(stage.now);
    await expect.poll(async () => (await stage.history(rule))[0]?.delivery.outcome, PATIENCE).toBe("delivered");
    expect(receiver.messages).toHaveLength(3);
    expect(new Set(receiver.messages.map(({ id }) => id)).size).toBe(1);
    for (const message of receiver.messages) verify(rule.webhook!.secret, message);
  });

  test("a process stops in the middle of a message: another one begins it anew", async () => {
    stage = await Stage.open(redis);
    const rule = await hooked();
    receiver.answer = (_, response, nth) => {
      if (nth > 1) response.writeHead(200).end(); // the first hangs
    };
    await stage.count("/", 5);
    await stage.evaluator().tick();
    const first = await stage.deliveries();
    await first.relay(stage.now);
    await expect.poll(() => receiver.messages.length, PATIENCE).toBe(1);
    await first.stop();
    await stage.deliveries();
    await expect
      .poll(async () => (await stage.history(rule))[0]?.delivery, PATIENCE)
      .toMatchObject({ outcome: "delivered", attempts: 1 });
    expect(receiver.messages).toHaveLength(2);
  });
});

describe("order", () => {
  test("a resolve waits for its firing, while both are in retry", async () => {
    stage = await Stage.open(redis);
    const rule = await hooked();
    let isDown = true;
    receiver.answer = (_, response) => void response.writeHead(isDown ? 503 : 204).end();
    await stage.count("/", 5);
    const evaluator = stage.evaluator();
    await evaluator.tick();
    const deliveries = await stage.deliveries(Array.from({ length: 100 }, () => 50));
    await deliveries.relay(stage.now);
    await expect.poll(() => receiver.messages.length, PATIENCE).toBeGreaterThan(1);
    await raise(rule);
    await evaluator.tick();
    await deliveries.relay(stage.now);
    const tried = receiver.messages.length;
    await expect.poll(() => receiver.messages.length, PATIENCE).toBeGreaterThan(tried + 3);
    expect(new Set(receiver.types())).toEqual(new Set(["alert.firing"]));
    isDown = false;
    await expect.poll(() => receiver.types().at(-1), PATIENCE).toBe("alert.resolved");
    await expect.poll(() => stage.client.exists(alertKeys(rule.id).waiting), PATIENCE).toBe(0);
  });

  test("given up, a firing lets its resolve go, and can be sent again by hand", async () => {
    stage = await Stage.open(redis);
    const rule = await hooked();
    receiver.answer = (_, response) => void response.writeHead(500).end("not for anybody's eyes");
    await stage.count("/", 5);
    const evaluator = stage.evaluator();
    await evaluator.tick();
    await raise(rule);
    await evaluator.tick();
    const deliveries = await stage.deliveries([10, 10]);
    await deliveries.relay(stage.now);
    await expect.poll(() => outcomes(rule), PATIENCE).toEqual(["dead", "dead"]);
    expect(receiver.types()).toEqual([...Array(3).fill("alert.firing"), ...Array(3).fill("alert.resolved")]);
    expect((await stage.history(rule))[0]?.delivery).toMatchObject({
      attempts: 3,
      status: 500,
      detail: "answered 500",
    });
    expect(JSON.stringify(await stage.history(rule))).not.toContain("anybody");
  });

  test("a resolve whose firing has no job any more sees to it that it comes first", async () => {
    stage = await Stage.open(redis);
    const rule = await fireWithoutJob();
    await raise(rule);
    await stage.evaluator().tick();
    await (await stage.deliveries()).relay(stage.now);
    await expect.poll(() => outcomes(rule), PATIENCE).toEqual(["delivered", "delivered"]);
    expect(receiver.types()).toEqual(["alert.firing", "alert.resolved"]);
  });
});

/** A rule that fires, and whose message is neither in the outbox nor a job. */
async function fireWithoutJob(): Promise<Rule> {
  const rule = await hooked();
  await stage.count("/", 5);
  await stage.evaluator().tick();
  const outgoing = await readOutbox(stage.client, 10);
  await dropFromOutbox(
    stage.client,
    outgoing.map(({ entry }) => entry),
  );
  return rule;
}

describe("BullMQ's keys are lost", () => {
  test("a message in retry gets another job, and comes under its id", async () => {
    stage = await Stage.open(redis);
    const rule = await hooked();
    receiver.answer = (_, response) => void response.writeHead(503).end();
    await stage.count("/", 5);
    await stage.evaluator().tick();
    const deliveries = await stage.deliveries([3_600_000]);
    await deliveries.relay(stage.now);
    await expect.poll(() => outcomes(rule), PATIENCE).toEqual(["retrying"]);
    await expect.poll(() => deliveries.queue.getDelayedCount(), PATIENCE).toBe(1);
    await deliveries.sweep();
    expect(receiver.messages).toHaveLength(1);
    await stage.client.unlink(...(await stage.client.keys(`${JOBS_PREFIX}:*`)));
    receiver.answer = (_, response) => void response.writeHead(204).end();
    await Promise.all([deliveries.sweep(), deliveries.sweep()]);
    await expect.poll(() => outcomes(rule), PATIENCE).toEqual(["delivered"]);
    const [made] = await stage.history(rule);
    expect(receiver.messages.map(({ id }) => id)).toEqual([made?.id, made?.id]);
  });

  test("one that its history holds no more is given up, and holds up nothing", async () => {
    stage = await Stage.open(redis);
    const rule = await fireWithoutJob();
    await stage.client.xtrim(alertKeys(rule.id).history, "MAXLEN", 0);
    const deliveries = await stage.deliveries();
    await deliveries.sweep();
    expect(await stage.client.exists(alertKeys(rule.id).waiting)).toBe(0);
    await raise(rule);
    await stage.evaluator().tick();
    await deliveries.relay(stage.now);
    await expect.poll(() => receiver.types(), PATIENCE).toEqual(["alert.resolved"]);
  });
});

test("410 closes the endpoint, and the rule says so", async () => {
  stage = await Stage.open(redis);
  const rule = await hooked();
  receiver.answer = (_, response) => void response.writeHead(410).end();
  await stage.count("/", 5);
  const evaluator = stage.evaluator();
  await evaluator.tick();
  await (await stage.deliveries()).relay(stage.now);
  await expect
    .poll(async () => (await stage.history(rule))[0]?.delivery, PATIENCE)
    .toMatchObject({ outcome: "dead", attempts: 1, status: 410 });
  const text = (await stage.client.hget(ALERTS.rules, rule.id)) as string;
  expect(text).toContain("disabledAt");
  expect(await types(rule)).toEqual(["firing"]);
});

test("a silence holds back what is delivered and not what is recorded", async () => {
  stage = await Stage.open(redis);
  const rule = await hooked();
  const evaluator = stage.evaluator();
  await silenceRule(stage.harness, rule.id, stage.now + 60_000, stage.now);
  await stage.count("/", 5);
  await evaluator.tick();
  expect(await stage.history(rule)).toMatchObject([{ type: "firing", delivery: { outcome: "silenced" } }]);
  expect(await readOutbox(stage.client, 10)).toEqual([]);
  stage.now += 60_000;
  await evaluator.tick();
  const [made] = await stage.history(rule);
  expect(made?.delivery.outcome).toBe("waiting");
  expect(await readOutbox(stage.client, 10)).toMatchObject([{ job: made?.id }]);
});
