import { expect, onTestFinished, test } from "vitest";
import { startTestApp } from "../support/app.ts";
import { BATCH_COUNTER, Batches } from "./batches.ts";
import { RedisOnDisk, SmallDisk } from "./small-disk.ts";

const ROOM_BYTES = 2 * 1024 * 1024;
/** A batch of about 100 kB: some twenty fit into the room. */
const PADDING_BYTES = 2_000;

test.for([
  // Refuses every write until there is room, and then goes on by itself.
  { durability: "everysec", redisExits: false },
  // Cannot take back what it has promised, and ends itself.
  { durability: "always", redisExits: true },
])(
  "the disk is full with $durability: refused, not ready, and once there is room all is counted once",
  async ({ durability, redisExits }) => {
    const disk = SmallDisk.mount();
    if (typeof disk === "string") {
      console.warn(`skipped: ${disk}`);
      return;
    }
    onTestFinished(() => disk.unmount());
    const redis = await RedisOnDisk.start(disk.directory, durability);
    onTestFinished(() => redis.stop());
    const app = await startTestApp([BATCH_COUNTER], {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      TALLYMARK_DURABILITY: durability,
    });
    onTestFinished(() => app.stop());
    const batches = new Batches(PADDING_BYTES);
    const status = async (path: string) => (await app.call("GET", path)).status;

    expect(await batches.sendNext(app.url)).toBe(202);
    disk.fillUpTo(ROOM_BYTES);
    await expect.poll(() => batches.sendNext(app.url), { timeout: 30_000, interval: 1 }).toBe(503);
    await expect.poll(() => status("/readyz"), { timeout: 10_000 }).toBe(503);
    for (let i = 0; i < 3; i++) expect(await batches.sendNext(app.url)).toBe(503);
    expect(await status("/livez")).toBe(200);
    expect(redis.isRunning).toBe(!redisExits);

    disk.makeRoom();
    await redis.startUnlessRunning();
    await expect.poll(() => status("/readyz"), { timeout: 30_000 }).toBe(200);
    await expect.poll(() => batches.retryOne(app.url), { timeout: 30_000, interval: 10 }).toBe(true);
    await expect.poll(() => batches.counts(app.url), { timeout: 30_000 }).toEqual(batches.expected);
    expect(await batches.sendNext(app.url)).toBe(202);
  },
);
