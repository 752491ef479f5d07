import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FolderStore } from "../../src/lake/folder.ts";
import { hourOf, manifestNameOf, putSegment, readLine, SegmentDamaged } from "../../src/lake/manifest.ts";
import { compareRows, type LakeRow } from "../../src/lake/rows.ts";
import type { LakeStore } from "../../src/lake/store.ts";
import { LakeTidier } from "../../src/lake/tidy.ts";
import { Metrics } from "../../src/metrics.ts";
import { readLake } from "./lake.ts";

const HOUR = 3_600_000;
/** Now, and the hour of the events. */
const NOW = Date.parse("2026-03-02T12:00:00Z");
const EVENTS_AT = Date.parse("2026-03-02T10:00:00Z");
/** The time that a ULID of the test's segments tells. */
const MADE = "01KJP0000000000000000000";

let folder: string;
let store: FolderStore;
let made = 0;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
  store = new FolderStore(folder);
  made = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const rowAt = (sequence: number, time = EVENTS_AT): LakeRow => {
  const place = { partition: 0, arrived: NOW, sequence, index: 0 };
  return { ...place, id: `e${sequence}`, source: "", type: "t", time, subject: null, data: `{"n":${sequence}}` };
};
const nameAt = (time: number) => `${hourOf(time)}${MADE}${String(made++).padStart(2, "0")}.parquet`;

/** Ten segments of one hour, with five rows each, of which neighbours have one in common. */
async function fill(time = EVENTS_AT): Promise<LakeRow[]> {
  const rows = Array.from({ length: 41 }, (_, i) => rowAt(i, time));
  for (let s = 0; s < 10; s++) await putSegment(store, nameAt(time), rows.slice(s * 4, s * 4 + 5));
  return rows;
}

async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of store.list("")) found.push(name);
  return found;
}

const tidy = (on: LakeStore = store, keepMs: number | null = null, now = NOW) =>
  new LakeTidier({ store: on, keepMs, metrics: new Metrics() }).run(now);

test("small segments become one, without repeats, and the manifest says what it holds", async () => {
  const rows = await fill();
  await tidy();
  expect((await readLake(store)).sort(compareRows)).toEqual(rows);
  const [segment, line, ...others] = (await names()).toSorted().reverse();
  expect(others).toEqual([]);
  expect(line).toBe(manifestNameOf(segment!));
  expect(await readLine(store, segment!)).toMatchObject({ segment, rows: 41, from: "2026-03-02T10:00:00.000Z" });
  await tidy();
  expect((await names()).length).toBe(2);
});

describe("a segment that the manifest does not know", () => {
  test("is left alone while its line may come yet, and merged later", async () => {
    const rows = await fill();
    const [segment] = (await names()).filter((name) => name.endsWith(".parquet"));
    await store.remove(manifestNameOf(segment!));
    await tidy(store, null, Date.parse("2026-03-02T00:30:00Z"));
    expect(await names()).toContain(segment);
    await fill(); // the others are merged, and eight small ones are there again
    await tidy(store, null, NOW + 24 * HOUR);
    expect(await names()).not.toContain(segment);
    expect((await readLake(store)).sort(compareRows)).toEqual(rows);
  });
});

test("a damaged segment is not merged, and stays", async () => {
  await fill();
  const [segment] = (await names()).filter((name) => name.endsWith(".parquet"));
  const bytes = (await store.get(segment!)) as Uint8Array;
  bytes[100] = (bytes[100] as number) ^ 1;
  await store.put(segment!, bytes);
  await expect(tidy()).rejects.toThrow(SegmentDamaged);
  expect(await names()).toContain(segment);
});

test("what somebody else has put there is left alone", async () => {
  await fill();
  const foreign = `${hourOf(EVENTS_AT)}mine.parquet`;
  await store.put(foreign, Buffer.from("not ours"));
  await tidy();
  expect((await store.get(foreign))?.toString()).toBe("not ours");
});

test("what is past its time goes with its line, by event time and by whole hours", async () => {
  await fill(EVENTS_AT);
  await fill(EVENTS_AT + HOUR);
  await tidy(store, HOUR, NOW);
  expect((await readLake(store)).every(({ time }) => time >= EVENTS_AT + HOUR)).toBe(true);
  expect((await names()).filter((name) => name.includes("hour=10"))).toEqual([]);
});

test("killed before or after any step, merging loses nothing, and the next one drops the repeats", async () => {
  let kills = 0;
  // Every step would take half a minute of syncing; what is between two of these is the same again.
  for (let dieAt = 1; ; dieAt += 5) {
    await rm(folder, { recursive: true, force: true });
    made = 0;
    const rows = await fill();
    let steps = 0;
    const mortal = new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function" || name === "list")
          return typeof value === "function" ? value.bind(target) : value;
        return async (...args: unknown[]) => {
          if (++steps >= dieAt) throw new Error("killed");
          return value.apply(target, args);
        };
      },
    });
    const died = await tidy(mortal).then(
      () => false,
      () => true,
    );
    const idsOf = async () => [...new Set((await readLake(store)).map(({ id }) => id))].toSorted();
    const expected = rows.map(({ id }) => id).toSorted();
    expect(await idsOf()).toEqual(expected);
    // Every line has its segment: one without would be taken for a loss.
    const found = await names();
    for (const line of found.filter((name) => name.endsWith(".json"))) {
      expect(found.map(manifestNameOf)).toContain(line);
    }
    if (!died) break;
    kills++;
    await fill();
    await tidy(store, null, NOW + 24 * HOUR);
    expect((await readLake(store)).sort(compareRows)).toEqual(rows);
  }
  expect(kills).toBeGreaterThan(8);
});

test("two that merge at once lose nothing", async () => {
  const rows = await fill();
  await Promise.all([tidy(), tidy(), tidy()]);
  expect([...new Set((await readLake(store)).map(({ id }) => id))].toSorted()).toEqual(
    rows.map(({ id }) => id).toSorted(),
  );
});
