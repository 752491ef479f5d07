import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FolderStore } from "../../src/lake/folder.ts";
import { call, startTestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { readLake } from "./lake.ts";

/** The archive within a whole service: on, in trouble, away, and off again. */

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
  await removeTemporaryDirectories();
});

const post = (url: string, ids: readonly string[]) =>
  call(
    url,
    "POST",
    "/v1/events?wait=applied",
    ids.map((id) => ({ id, type: "t" })),
  );
const countOf = async (url: string) => (await call(url, "GET", "/v1/counters/events/value?last=1d")).body.count;

test("an archive that cannot be written holds nothing up, says so, and catches up", { timeout: 60_000 }, async () => {
  const lake = join(directory, "broken");
  // A file where the folder should be: every write fails.
  await writeFile(lake, "");
  const app = await startTestApp(null, { TALLYMARK_ARCHIVE: lake });
  try {
    await post(app.url, ["a", "b"]);
    expect(await countOf(app.url)).toBe(2);
    const notes = async () => (await call(app.url, "GET", "/readyz")).body;
    await expect.poll(notes, { timeout: 30_000 }).toMatchObject({
      status: "degraded",
      troubles: [],
      notes: [expect.stringMatching(/^the archive cannot be written: ENOTDIR/)],
    });
    expect(await readMetric(app.url, "tallymark_archive_failures_total")).toBeGreaterThan(0);
    await rm(lake);
    await expect.poll(notes, { timeout: 30_000 }).toMatchObject({ status: "ok" });
    expect((await readLake(new FolderStore(lake))).map(({ id }) => id)).toEqual(["a", "b"]);
    expect(await readMetric(app.url, "tallymark_archive_events_total")).toBe(2);
    const waiting = () => readMetric(app.url, 'tallymark_archive_entries_waiting{partition="0"}');
    await expect.poll(waiting, { timeout: 30_000 }).toBe(0);
    await expect.poll(() => readMetric(app.url, "tallymark_archive_lag_seconds")).toBe(0);
  } finally {
    await app.stop();
  }
});

test("started without it, entries are kept; with off, they go, and counts stay", { timeout: 90_000 }, async () => {
  const lake = join(directory, "away");
  const start = (archive: string, dataDir?: string): Promise<Service> =>
    startService({ env: { TALLYMARK_ARCHIVE: archive }, ...(dataDir && { dataDir }) });

  const first = await start(lake);
  const { dataDir } = first;
  await first.stop();
  const without = await start("", dataDir);
  await post(without.url, ["a", "b", "c"]);
  expect(await countOf(without.url)).toBe(3);
  await without.stop();
  expect(await readLake(new FolderStore(lake))).toEqual([]);

  const again = await start(lake, dataDir);
  await post(again.url, ["a", "d"]);
  await again.stop();
  expect((await readLake(new FolderStore(lake))).map(({ id }) => id)).toEqual(["a", "b", "c", "a", "d"]);

  const alone = await start("", dataDir);
  await post(alone.url, ["e"]);
  await alone.stop();
  const off = await start("off", dataDir);
  expect(off.stderr() + (await countOf(off.url))).toMatch(/5$/);
  await off.stop();
});
