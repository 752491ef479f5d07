import { Redis } from "ioredis";
import { describe, test } from "vitest";
import type { CounterInput } from "../../src/core/counter.ts";
import { startTestApp } from "../support/app.ts";
import { TcpProxy } from "../support/proxy.ts";
import { startTestRedis } from "../support/redis.ts";

/** What a command may take before its outcome is unknown, and what a busy machine may add to it, ms. */
const ANSWER_MAX_MS = 5_000 + 3_000;
const COUNTER: CounterInput = { name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" };
const events = (name: string) => Array.from({ length: 10 }, (_, i) => ({ id: `${name}${i}`, type: "t", time: 1_000 }));

interface Ice {
  readonly what: string;
  freeze(proxy: TcpProxy, pid: number): void;
  thaw(proxy: TcpProxy, pid: number): void;
}

const ICE: Ice[] = [
  {
    // What was sent meanwhile lies in its sockets, and is executed when it wakes.
    what: "Redis stands still",
    freeze: (_proxy, pid) => void process.kill(pid, "SIGSTOP"),
    thaw: (_proxy, pid) => void process.kill(pid, "SIGCONT"),
  },
  {
    // What was sent meanwhile never arrives.
    what: "every connection is half open, and then cut",
    freeze: (proxy) => {
      proxy.frozen = true;
    },
    thaw: (proxy) => {
      proxy.cut();
      proxy.frozen = false;
    },
  },
];

describe.concurrent.each(ICE)("$what:", ({ freeze, thaw }) => {
  test("503 in time, and everything is counted once when it goes on", async ({ expect }) => {
    const redis = await startTestRedis();
    const proxy = await TcpProxy.start(redis.target.options as { path: string });
    const app = await startTestApp([COUNTER], { REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    const send = (name: string) => app.call("POST", "/v1/events?wait=applied", events(name));
    expect((await send("before")).body).toMatchObject({ applied: 10 });
    const careless = new Redis({ host: "127.0.0.1", port: proxy.port });
    careless.on("error", () => {});
    await careless.ping();

    freeze(proxy, redis.pid);
    let carelessAnswered = false;
    void careless.set("mutant", "1").finally(() => {
      carelessAnswered = true;
    });
    const began = performance.now();
    const [refused, ready] = await Promise.all([send("during"), app.call("GET", "/readyz")]);
    expect(performance.now() - began).toBeLessThan(ANSWER_MAX_MS);
    expect([refused.status, refused.body.code, ready.status]).toEqual([503, "unavailable", 503]);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    // A client with the library's defaults waits on, as long as the ice holds (the mutant).
    expect(carelessAnswered).toBe(false);
    thaw(proxy, redis.pid);

    await expect.poll(async () => (await send("during")).status, { timeout: 30_000, interval: 100 }).toBe(200);
    // The waiting connection is back as well: new entries are read, not only those that were pending.
    await expect.poll(async () => (await send("after")).status, { timeout: 30_000, interval: 100 }).toBe(200);
    expect((await app.call("GET", "/v1/counters/all/value?from=0&to=3600000")).body.count).toBe(30);
    expect((await app.call("GET", "/readyz")).status).toBe(200);
    careless.disconnect();
    await app.stop();
    await proxy.stop();
    await redis.stop();
  });
});
