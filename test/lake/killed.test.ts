import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FolderStore } from "../../src/lake/folder.ts";
import { joinArchive } from "../../src/redis/commands/lake.ts";
import { Harness, makeEvent } from "../support/harness.ts";
import { startTestRedis, type TestRedis } from "../support/redis.ts";
import { readLake } from "./lake.ts";

/** An archiver's process is ended by SIGKILL at every step there is; a successor goes on. */

const PROGRAM = fileURLToPath(new URL("archive-once.mjs", import.meta.url));
const HOUR = 3_600_000;

let redis: TestRedis;
let harness: Harness;
let folder: string;
beforeAll(async () => {
  redis = await startTestRedis();
  harness = await Harness.create(redis, { counters: [{ name: "all", event: "*", by: [], windows: ["1h"] }] });
  folder = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
  await joinArchive(harness.client, harness.scripts, harness.partitions[0]!);
});
afterAll(async () => {
  harness?.close();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the program; the number of its steps, or `null` when it was killed. */
async function archive(dieAt: number): Promise<number | null> {
  const { path } = redis.target.options as { path: string };
  const child = spawn(process.execPath, [PROGRAM, path, folder, String(dieAt)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  const [code, signal] = await once(child, "close");
  if (signal === "SIGKILL") return null;
  expect(code).toBe(0);
  return Number(output);
}

test("killed at any step, nothing is missing and repeats can be told", { timeout: 120_000 }, async () => {
  let sent = 0;
  const send = async () => {
    // Two hours of event time: two segments, with a step between them.
    for (const time of [HOUR, HOUR, 2 * HOUR]) await harness.send([makeEvent({ id: `e${sent++}`, time })]);
  };
  let kills = 0;
  for (let dieAt = 1; ; dieAt++) {
    await send();
    if ((await archive(dieAt)) !== null) break;
    kills++;
    // Whoever was killed holds the lease until it runs out.
    await harness.client.del(harness.partitions[0]!.archiveLease);
  }
  expect(kills).toBeGreaterThan(10);
  expect(await archive(0)).not.toBe(null);

  const rows = await readLake(new FolderStore(folder));
  expect(rows.length).toBeGreaterThan(sent);
  const distinct = new Map(rows.map((row) => [`${row.partition} ${row.arrived}-${row.sequence} ${row.index}`, row]));
  expect([...distinct.values()].map(({ id }) => id).toSorted()).toEqual(
    Array.from({ length: sent }, (_, i) => `e${i}`).toSorted(),
  );
  // Counting has not begun: all is still there for it, and nothing waits for the archive.
  const { stream, ahead } = harness.partitions[0]!;
  expect([await harness.client.xlen(stream), await harness.client.scard(ahead)]).toEqual([sent, sent]);
});
