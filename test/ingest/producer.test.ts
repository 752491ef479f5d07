import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Problem } from "../../src/core/problem.ts";
import { Producer } from "../../src/ingest/producer.ts";
import { Connections, type RedisClient } from "../../src/redis/client.ts";
import { partitionKeys } from "../../src/redis/keys.ts";
import { TcpProxy } from "../support/proxy.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

let redis: TestRedis;
let proxy: TcpProxy;
let direct: RedisClient;
const [partition] = partitionKeys(1);
const event = { id: "a", source: "", type: "t", time: 1, subject: null, data: null };
const share = { partition: partition!, events: [{ event, identity: { fingerprint: "1", spread: 1 } }] };

beforeAll(async () => {
  redis = await startTestRedis();
  proxy = await TcpProxy.start(redis.target.options as { path: string });
  direct = await redis.connections.open("prompt");
});
afterAll(async () => {
  await proxy.stop();
  await redis.stop();
});
beforeEach(() => direct.flushall());

function throughProxy(): Connections {
  return new Connections({ kind: "single", options: { host: "127.0.0.1", port: proxy.port } }, () => {});
}

describe("a reply that gets lost", () => {
  test("is answered as unknown, at once, and nothing is written a second time", async () => {
    const connections = throughProxy();
    const client = await connections.open("prompt");
    const producer = new Producer(client, null);
    const lost = proxy.loseReplyTo("xadd");
    const failure = await producer.enqueue([share], [null]).catch((error: unknown) => error);
    await lost;
    expect(failure).toBeInstanceOf(Problem);
    expect((failure as Problem).code).toBe("unavailable");
    // The connection comes back by itself, and brings nothing along.
    await expect.poll(() => client.ping().catch(() => "not yet")).toBe("PONG");
    expect(await direct.xlen(share.partition.stream)).toBe(1);
    connections.closeAll();
  });

  test("with the library's defaults, the entry is written twice (the mutant)", async () => {
    const client = new Redis({ host: "127.0.0.1", port: proxy.port, lazyConnect: true });
    client.on("error", () => {});
    await client.connect();
    const producer = new Producer(client, null);
    const lost = proxy.loseReplyTo("xadd");
    await producer.enqueue([share], [null]);
    await lost;
    expect(await direct.xlen(share.partition.stream)).toBe(2);
    client.disconnect();
  });
});

test("a network that has frozen is unknown after the time limit, not for ever", async () => {
  const connections = throughProxy();
  const producer = new Producer(await connections.open("prompt"), null);
  proxy.frozen = true;
  const failure = await producer.enqueue([share], [null]).catch((error: unknown) => error);
  proxy.frozen = false;
  expect((failure as Problem).code).toBe("unavailable");
  connections.closeAll();
});

test("too few replicas are unavailable, although the primary has the entry", async () => {
  const producer = new Producer(direct, { replicas: 1, timeoutMs: 50 });
  const failure = await producer.enqueue([share], [null]).catch((error: unknown) => error);
  expect((failure as Problem).code).toBe("unavailable");
  expect((failure as Problem).message).toContain("0 of 1 replicas");
});
