import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { requeue } from "../../src/redis/commands/requeue.ts";
import { readNew } from "../../src/stream/entries.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";

/** Real worker processes that die of one event, one after the other. */

const PROCESS = fileURLToPath(new URL("worker-process.mjs", import.meta.url));
/** Three until entries are applied one at a time, then six with the culprit as the oldest. */
const DEATHS = 9;

let redis: TestRedis;
let harness: Harness;
beforeAll(async () => {
  redis = await startTestRedis();
  harness = await Harness.create(redis, {
    counters: [{ name: "all", event: "*", by: [], windows: ["1h"], lateness: "4000d" }],
  });
});
afterAll(async () => {
  harness.close();
  await redis.stop();
});

const event = (id: string, type = "t") => makeEvent({ id, type, time: 1_000_000 });

async function counted(): Promise<number> {
  const subject = { owner: "total", shown: { key: null } } as const;
  const span = { from: 0, to: 3_600_000 };
  return (await harness.lookups.value({ counter: harness.counter("all"), subject, span })).count as number;
}

/** Starts a worker; true when it died, false once nothing waits any more. */
async function diesOrDrains(worker: ChildProcess, stream: string): Promise<boolean> {
  let died = false;
  worker.once("exit", () => {
    died = true;
  });
  await expect.poll(async () => died || (await harness.client.xlen(stream)) === 0, { timeout: 30_000 }).toBe(true);
  return died;
}

test("an entry that ends every worker's process becomes dead letters, and all others are counted", async () => {
  const { client, scripts } = harness;
  const partition = harness.partitions[0]!;
  await harness.send([event("before 1"), event("before 2")]);
  await harness.send([event("neighbour 1"), event("culprit", "killer"), event("neighbour 2")]);
  await harness.send([event("after")]);

  let deaths = 0;
  let worker: ChildProcess;
  const start = () => {
    const options = JSON.stringify(redis.target.kind === "single" && redis.target.options);
    const child = spawn(process.execPath, [PROCESS, options], { stdio: ["ignore", "ignore", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    return child;
  };
  for (;;) {
    worker = start();
    if (!(await diesOrDrains(worker, partition.stream))) break;
    expect(++deaths).toBeLessThanOrEqual(DEATHS);
    // Its lease would run out in a while; that is not what is tested here.
    await client.del(partition.lease);
  }
  expect(deaths).toBe(DEATHS);
  expect(await counted()).toBe(3);
  const letters = await client.xrange(partition.dead, "-", "+");
  expect(letters.map(([, fields]) => [fields[3], JSON.parse(fields[5]!)[0][2]])).toEqual(
    ["neighbour 1", "culprit", "neighbour 2"].map((id) => ["its worker ended 5 times while applying it", id]),
  );
  expect(await client.hget(partition.state, "applied")).toBe("3");

  // The one that outlived it goes on, and leaves no note behind.
  await harness.send([event("later")]);
  await expect.poll(counted, { timeout: 30_000 }).toBe(4);
  worker.kill("SIGTERM");
  await once(worker, "exit");
  expect(await client.hget(partition.state, "suspect")).toBeNull();

  // Once a worker is there that bears it, the letters can be tried again.
  const ids = letters.map(([id]) => id);
  expect(await requeue(client, scripts, partition, "dead", ids)).toEqual({ moved: 3, archived: [] });
  const owner = await harness.own(partition);
  await owner.apply(await readNew(client, partition, 10, 1));
  expect(await counted()).toBe(7);
});
