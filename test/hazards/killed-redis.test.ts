import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { removeTemporaryDirectories, startService } from "../support/service.ts";
import { BATCH_COUNTER, Batches } from "./batches.ts";
import { redisPid } from "./support.ts";

afterAll(removeTemporaryDirectories);

const BEFORE = 30;
const IN_FLIGHT = 4;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each(["everysec", "always"])(
  "Redis is killed under load with %s: what was acknowledged is counted once",
  async (durability) => {
    const config = { counters: [BATCH_COUNTER], durability };
    const first = await startService({ config });
    onTestFinished(() => first.kill());
    const pid = await redisPid(join(first.dataDir, "redis", "redis.sock"));
    const batches = new Batches(0);
    const sendUntilItEnds = async () => {
      while ((await batches.sendNext(first.url)) === 202) {
        if (batches.acknowledged.length === BEFORE) process.kill(pid, "SIGKILL");
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, sendUntilItEnds));
    expect(batches.acknowledged.length).toBeGreaterThanOrEqual(BEFORE);
    // A service without its Redis says so and ends, for whoever runs it to start it again.
    await expect.poll(() => isAlive(first.pid), { timeout: 30_000 }).toBe(false);
    expect(first.stderr()).toContain("the embedded Redis ended");

    const second = await startService({ config, dataDir: first.dataDir });
    onTestFinished(() => second.kill());
    await expect.poll(() => batches.retryOne(second.url), { timeout: 30_000, interval: 10 }).toBe(true);
    await expect.poll(() => batches.counts(second.url), { timeout: 30_000 }).toEqual(batches.expected);
    expect(await second.stop()).toBe(0);
  },
);
