import { afterAll, afterEach, describe, expect, it, onTestFailed } from "vitest";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { checkTruth } from "./check.ts";
import { batchesOf, noOutcomes, postAll, postBatch, seededRandom, shuffled } from "./replay.ts";
import { DATA_DIR, type Dataset, loadCounters, loadLines } from "./truth.ts";

const NASA: Dataset = "nasa-1995-08-01";
const WIKI: Dataset = "wiki-2015-09-12";
const BATCH = 500;
const TEST_MAX_MS = 600_000;
/** Differences shown: one lost event differs in dozens of places, and the first ones tell which. */
const SHOWN = 20;
/** Of the service's log when a test fails: characters, from its end. */
const LOG_SHOWN = 8_000;

const running: Service[] = [];

async function start(partitions: number, dataDir?: string): Promise<Service> {
  const service = await startService({
    env: { TALLYMARK_PARTITIONS: String(partitions) },
    config: loadCounters(),
    ...(dataDir && { dataDir }),
  });
  running.push(service);
  onTestFailed(() => console.error(`the service wrote:\n${service.stderr().slice(-LOG_SHOWN)}`));
  return service;
}

async function expectTruth({ url }: Service): Promise<void> {
  for (const dataset of [NASA, WIKI]) {
    const { checked, differences } = await checkTruth(url, dataset);
    expect(differences.slice(0, SHOWN), `${differences.length} of ${checked} figures of ${dataset} differ`).toEqual([]);
  }
}

afterEach(async () => {
  for (const service of running.splice(0)) await service.stop();
});

afterAll(removeTemporaryDirectories);

describe.skipIf(!DATA_DIR)("real logs and their truth (needs TALLYMARK_TEST_DATA)", () => {
  it.each([
    { partitions: 1, order: [NASA, WIKI] },
    { partitions: 8, order: [WIKI, NASA] },
  ])(
    "counts both exactly, and nothing twice: $partitions partitions, $order",
    { timeout: TEST_MAX_MS },
    async (row) => {
      const service = await start(row.partitions);
      const lines = row.order.flatMap((dataset) => loadLines(dataset));

      const first = await postAll(service.url, batchesOf(lines, BATCH));
      expect(first).toEqual({ ...noOutcomes(), accepted: lines.length, applied: lines.length });

      const again = shuffled(lines, seededRandom(20_150_912));
      const second = await postAll(service.url, batchesOf(again, BATCH), 4);
      expect(second).toEqual({ ...noOutcomes(), accepted: lines.length, duplicates: lines.length });
      await expectTruth(service);
    },
  );

  // With 8 partitions, kills of every process are the torture test's.
  it.each([1])(
    "counts exactly across a kill in the middle of a replay: %i partitions",
    { timeout: TEST_MAX_MS },
    async (partitions) => {
      const batches = batchesOf([NASA, WIKI].flatMap(loadLines), BATCH);
      const half = Math.floor(batches.length / 2);
      const service = await start(partitions);
      const unanswered = await postUntilKilled(service, batches.slice(0, half), Math.floor(half / 2));
      // Otherwise nothing was in the middle of anything.
      expect(unanswered.length).toBeGreaterThan(0);

      const successor = await start(partitions, service.dataDir);
      const resent = await postAll(successor.url, unanswered);
      expect(resent.applied + resent.duplicates).toBe(unanswered.flat().length);
      const rest = batches.slice(half);
      expect(await postAll(successor.url, rest)).toMatchObject({ applied: rest.flat().length });
      await expectTruth(successor);
    },
  );
});

/** Posts with four requests in flight, kills the service after so many answers, and returns what was not answered. */
async function postUntilKilled(service: Service, batches: readonly string[][], answers: number): Promise<string[][]> {
  const waiting = batches.values();
  const unanswered: string[][] = [];
  let answered = 0;
  let killed: Promise<void> | undefined;
  const sender = async () => {
    for (const batch of waiting) {
      try {
        await postBatch(service.url, batch);
        answered++;
      } catch {
        unanswered.push(batch);
      }
      if (answered === answers) killed ??= service.kill();
    }
  };
  await Promise.all(Array.from({ length: 4 }, sender));
  await killed;
  return unanswered;
}
