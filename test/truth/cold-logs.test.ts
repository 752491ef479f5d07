import { afterAll, afterEach, describe, expect, it, onTestFailed, vi } from "vitest";
import { describeOnDatabases } from "../support/databases.ts";
import { readMetric } from "../support/metrics.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { checkTruth } from "./check.ts";
import { batchesOf, noOutcomes, postAll } from "./replay.ts";
import { DATA_DIR, type Dataset, loadCounters, loadLines } from "./truth.ts";

/** The real logs once more, while most of their day leaves Redis for cold storage. */

const LOGS: readonly Dataset[] = ["nasa-1995-08-01", "wiki-2015-09-12"];
const TEST_MAX_MS = 600_000;
const SHOWN = 20;
const HOUR_S = 3_600;
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: HOUR_S, d: 24 * HOUR_S };

interface Definition {
  readonly windows: readonly string[];
}

/** An hour of lateness, and nothing kept longer than it must be. */
function shortLived(counter: Definition): object {
  const seconds = (label: string) => Number(label.slice(0, -1)) * (SECONDS[label.at(-1) as string] as number);
  const keep = counter.windows.map((label, w) => {
    const wider = counter.windows[w + 1];
    return [label, `${wider === undefined ? 1 : seconds(wider) + HOUR_S}s`];
  });
  return { ...counter, lateness: "1h", keep: Object.fromEntries(keep) };
}

const running: Service[] = [];
afterEach(async () => {
  for (const service of running.splice(0)) await service.stop();
});
afterAll(removeTemporaryDirectories);

describe.skipIf(!DATA_DIR)("real logs that leave Redis (needs TALLYMARK_TEST_DATA)", () => {
  describeOnDatabases((startDatabase, isEmbedded) => {
    // The embedded database takes minutes for the rows of many partitions; what it does is the same.
    const partitionCounts = isEmbedded ? [1] : [8];
    it.each(partitionCounts)(
      "every figure is right wherever it lies: %i partitions",
      { timeout: TEST_MAX_MS },
      async (partitions) => {
        const database = await startDatabase();
        try {
          const { counters } = loadCounters() as { counters: Definition[] };
          const service = await startService({
            env: { TALLYMARK_PARTITIONS: String(partitions), ...(database.url && { DATABASE_URL: database.url }) },
            config: { counters: counters.map(shortLived) },
          });
          running.push(service);
          onTestFailed(() => console.error(service.stderr().slice(-8_000)));
          for (const log of LOGS) {
            const lines = loadLines(log);
            expect(await postAll(service.url, batchesOf(lines, 500))).toEqual({
              ...noOutcomes(),
              accepted: lines.length,
              applied: lines.length,
            });
          }
          await leftRedis(service);
          for (const log of LOGS) {
            const { checked, differences } = await checkTruth(service.url, log);
            expect(differences.slice(0, SHOWN), `${differences.length} of ${checked} figures of ${log} differ`).toEqual(
              [],
            );
          }
        } finally {
          await running.pop()?.stop();
          await database.stop();
        }
      },
    );
  });
});

/** Until nothing is due for export any more and nothing has left Redis since the last look. */
async function leftRedis({ url }: Service): Promise<void> {
  let before = -1;
  await vi.waitFor(
    async () => {
      const now = await readMetric(url, "tallymark_buckets_forgotten_total");
      const lag = await readMetric(url, "tallymark_export_lag_seconds");
      const isDone = lag === 0 && now > 1_000 && now === before;
      before = now;
      if (!isDone) throw new Error(`${now} buckets have left Redis`);
    },
    { timeout: 300_000, interval: 3_000 },
  );
}
