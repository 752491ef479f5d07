import { afterEach, describe, expect, it, onTestFailed } from "vitest";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { checkTruth } from "../truth/check.ts";
import { batchesOf, postBatch } from "../truth/replay.ts";
import { DATA_DIR, type Dataset, loadCounters, loadLines } from "../truth/truth.ts";

/** The real logs through a cluster whose primaries fail, and afterwards every figure of their truth. */

const LOGS: readonly { log: Dataset; primary: number }[] = [
  { log: "nasa-1995-08-01", primary: 0 },
  { log: "wiki-2015-09-12", primary: 1 },
];
const BATCH = 500;
const IN_FLIGHT = 4;
const TEST_MAX_MS = 600_000;
const SHOWN = 20;
const LOG_SHOWN = 8_000;

let cluster: TestCluster | undefined;
let service: Service | undefined;

afterEach(async () => {
  await service?.stop();
  await cluster?.stop();
  await removeTemporaryDirectories();
});

describe.skipIf(!DATA_DIR)("real logs and their truth on a cluster (needs TALLYMARK_TEST_DATA)", () => {
  it("counts both exactly, with a primary that dies in the middle of each", { timeout: TEST_MAX_MS }, async () => {
    cluster = await startTestCluster(3, 1);
    service = await startService({
      env: { REDIS_URL: cluster.url, TALLYMARK_PARTITIONS: "8", TALLYMARK_DURABILITY: "replicas:1" },
      config: loadCounters(),
    });
    const { url, stderr } = service;
    onTestFailed(() => console.error(`the service wrote:\n${stderr().slice(-LOG_SHOWN)}`));

    for (const { log, primary } of LOGS) await replay(url, loadLines(log), () => cluster!.failOver(primary));
    for (const { log } of LOGS) {
      const { checked, differences } = await checkTruth(url, log);
      expect(differences.slice(0, SHOWN), `${differences.length} of ${checked} figures of ${log} differ`).toEqual([]);
    }
    expect(stderr()).not.toContain("ALARM");
  });
});

/** Posts all lines with a failover half way. An event whose first answer was lost comes back as a duplicate. */
async function replay(url: string, lines: readonly string[], failOver: () => Promise<void>): Promise<void> {
  const batches = batchesOf(lines, BATCH);
  const waiting = batches.entries();
  let failover: Promise<void> | undefined;
  let counted = 0;
  const sender = async () => {
    for (const [i, batch] of waiting) {
      if (i === Math.floor(batches.length / 2)) failover = failOver();
      const { applied, duplicates } = await postBatch(url, batch);
      counted += applied + duplicates;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
  await failover;
  expect(counted).toBe(lines.length);
}
