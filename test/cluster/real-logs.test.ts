import { afterEach, describe, expect, it, onTestFailed } from "vitest";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { checkTruth } from "../truth/check.ts";
import { batchesOf, postBatch } from "../truth/replay.ts";
import { DATA_DIR, type Dataset, loadCounters, loadLines } from "../truth/truth.ts";

/** A real log through a cluster whose primaries fail, and afterwards every figure of its truth. */

const LOG: Dataset = "nasa-1995-08-01";
/** The primaries that fail, evenly spread over the replay. */
const FAILING = [0, 1];
const BATCH = 500;
const IN_FLIGHT = 4;
const TEST_MAX_MS = 900_000;
const SHOWN = 20;
const LOG_SHOWN = 8_000;

let cluster: TestCluster | undefined;
let service: Service | undefined;

afterEach(async () => {
  await service?.stop();
  await cluster?.stop();
  await removeTemporaryDirectories();
});

describe.skipIf(!DATA_DIR)("a real log and its truth on a cluster (needs TALLYMARK_TEST_DATA)", () => {
  it("counts it exactly, with two primaries that die one after the other", { timeout: TEST_MAX_MS }, async () => {
    cluster = await startTestCluster(3, 1);
    service = await startService({
      env: { REDIS_URL: cluster.url, TALLYMARK_PARTITIONS: "8", TALLYMARK_DURABILITY: "replicas:1" },
      config: loadCounters(),
    });
    const { url, stderr } = service;
    onTestFailed(() => console.error(`the service wrote:\n${stderr().slice(-LOG_SHOWN)}`));

    await replay(url, loadLines(LOG), (primary) => cluster!.failOver(primary));
    const { checked, differences } = await checkTruth(url, LOG);
    expect(differences.slice(0, SHOWN), `${differences.length} of ${checked} figures differ`).toEqual([]);
    expect(stderr()).not.toContain("ALARM");
  });
});

/** Posts all lines, with the failovers on the way. An event whose first answer was lost comes back as a duplicate. */
async function replay(
  url: string,
  lines: readonly string[],
  failOver: (primary: number) => Promise<void>,
): Promise<void> {
  const batches = batchesOf(lines, BATCH);
  const waiting = batches.entries();
  const step = Math.floor(batches.length / (FAILING.length + 1));
  let failovers = Promise.resolve();
  let counted = 0;
  const sender = async () => {
    for (const [i, batch] of waiting) {
      const failing = FAILING[i / step - 1];
      if (failing !== undefined) failovers = failovers.then(() => failOver(failing));
      const { applied, duplicates } = await postBatch(url, batch);
      counted += applied + duplicates;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
  await failovers;
  expect(counted).toBe(lines.length);
}
