import type { NetConnectOpts } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, expect, test } from "vitest";
import { call } from "../support/app.ts";
import { TcpProxy } from "../support/proxy.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { Receiver, verify } from "./receiver.ts";

/** Two built services on one Redis; each is killed at any moment, over and over, while rules fire and resolve. */

const RULES = 10;
const KILLS = 4;
const COUNTER = { name: "views", event: "view", by: ["subject"], windows: ["1s", "1m", "1h"] };

let redis: TestRedis;
let proxy: TcpProxy;
let receiver: Receiver;
const services: (Service | null)[] = [null, null];
afterEach(async () => {
  await Promise.all(services.map((service) => service?.stop()));
  await receiver.stop();
  await proxy.stop();
  await redis.stop();
});
afterAll(removeTemporaryDirectories);

function start(): Promise<Service> {
  return startService({
    config: { counters: [COUNTER] },
    env: {
      REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
      TALLYMARK_WEBHOOK_ALLOW_PRIVATE: "1",
      TALLYMARK_LOG_LEVEL: "error",
    },
  });
}

test("each transition has one id, and reaches its receiver, signed", { timeout: 240_000 }, async () => {
  redis = await startTestRedis();
  proxy = await TcpProxy.start((redis.target as { options: NetConnectOpts }).options);
  receiver = await Receiver.start();
  // Every fourth message is processed and its connection dropped: it comes again under its id five seconds later.
  const dropped = new Set<string>();
  receiver.answer = (request, response, nth) => {
    const id = request.headers["webhook-id"] as string;
    if (nth % 4 === 0 && !dropped.has(id) && dropped.add(id)) request.socket.destroy();
    else response.writeHead(204).end();
  };
  services[0] = await start();
  services[1] = await start();
  const any = () => (services.find((service) => service !== null) as Service).url;
  const secrets = new Map<string, string>();
  for (let n = 0; n < RULES; n++) {
    const rule = { name: `r${n}`, counter: "views", key: [`/${n}`], last: "2s", op: ">", threshold: 0 };
    const { body } = await call(any(), "POST", "/v1/alerts", { ...rule, webhook: { url: receiver.url } });
    secrets.set(body.id, body.webhook.secret);
  }
  let sent = 0;
  const fire = () =>
    call(
      any(),
      "POST",
      "/v1/events",
      Array.from({ length: RULES }, (_, n) => ({ id: `e${sent++}`, type: "view", subject: `/${n}` })),
    );
  for (let kill = 0; kill < KILLS; kill++) {
    await fire();
    await pause(500 + Math.random() * 1_500); // any step of what follows may be the one that is cut off
    await services[kill % 2]!.kill();
    services[kill % 2] = null;
    await fire();
    await pause(2_500);
    services[kill % 2] = await start();
  }
  const settled = async () => {
    const histories = await Promise.all([...secrets.keys()].map((id) => call(any(), "GET", `/v1/alerts/${id}/events`)));
    const events = histories.map(({ body }) => body.events.toReversed());
    const firing = events.filter((list) => list.at(-1)?.type !== "resolved").length;
    const untold = events.flat().filter(({ delivery }) => delivery.outcome !== "delivered");
    return { firing, untold, events };
  };
  await expect.poll(settled, { timeout: 90_000, interval: 500 }).toMatchObject({ firing: 0, untold: [] });
  const events = (await settled()).events as { id: string; type: string; alert: string }[][];
  for (const list of events) {
    // Firing and resolved take turns: no transition was made twice and none is missing.
    expect(list.map(({ type }) => type)).toEqual(list.map((_, i) => (i % 2 === 0 ? "firing" : "resolved")));
  }
  const recorded = events.flat().map(({ id }) => id);
  expect(new Set(recorded).size).toBe(recorded.length);
  expect(new Set(receiver.messages.map(({ id }) => id))).toEqual(new Set(recorded));
  for (const message of receiver.messages) verify(secrets.get(message.body.data.alert) as string, message);
});
