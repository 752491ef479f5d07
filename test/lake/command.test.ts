import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runRebuild } from "../../src/cli/rebuild/rebuild.ts";
import { systemClock } from "../../src/cli/replay/io.ts";
import { runVerify } from "../../src/cli/verify/verify.ts";
import { FolderStore } from "../../src/lake/folder.ts";
import { SEGMENT_SUFFIX } from "../../src/lake/store.ts";
import { testIo } from "../cli/helpers.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { readMetric } from "../support/metrics.ts";

/** `tallymark rebuild` and `tallymark verify --archive` on a whole service with a lake. */

const COUNTER = { event: "*", by: ["subject"], sum: "data.value", windows: ["1m", "1h", "1d"], lateness: "4000d" };
const T = Date.parse("2015-09-12T10:00:00Z");

let lake: string;
let app: TestApp;
beforeAll(async () => {
  lake = await mkdtemp(join(tmpdir(), "tallymark-lake-"));
  app = await startTestApp([{ name: "first", ...COUNTER }], { TALLYMARK_ARCHIVE: lake });
});
afterAll(async () => {
  await app?.stop();
  await rm(lake, { recursive: true, force: true });
});

const io = () => testIo({ clock: systemClock as never });
const verify = () => runVerify({ files: [], archive: lake, url: app.url, subset: false }, io());
const eventsOf = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({
    id: `e${from + i}`,
    type: "t",
    subject: `/${(from + i) % 13}`,
    time: new Date(T + (from + i) * 60_000).toISOString(),
    data: { value: i / 8 },
  }));
const answersOf = async (name: string) => {
  const span = "from=2015-09-12T00:00:00Z&to=2015-09-16T00:00:00Z";
  const paths = [`value?${span}`, `top?limit=20&by=sum&${span}`, `series?window=1h&${span}`];
  const answers = await Promise.all(paths.map((path) => app.call("GET", `/v1/counters/${name}/${path}`)));
  return answers.map(({ body: { counter, ...rest } }) => rest);
};

test("a counter that is made later and rebuilt equals the first, and both equal the lake", {
  timeout: 120_000,
}, async () => {
  await app.call("POST", "/v1/events?wait=applied", eventsOf(0, 2_000));
  await app.call("POST", "/v1/events?wait=applied", eventsOf(1_900, 1_950));
  expect((await app.call("PUT", "/v1/counters/second", COUNTER)).status).toBe(201);
  const { written, ...rest } = io();
  await runRebuild(
    { counter: "second", url: app.url },
    { ...rest, stdout: { write: (text) => (written.out += text) } },
  );
  expect(JSON.parse(written.out)).toMatchObject({ counter: "second", events: 2_000 });
  await app.call("POST", "/v1/events?wait=applied", eventsOf(2_000, 2_100));
  expect(await answersOf("second")).toEqual(await answersOf("first"));

  const archived = () => readMetric(app.url, "tallymark_archive_events_total");
  await expect.poll(archived, { timeout: 30_000 }).toBe(2_150);
  expect(await verify()).toMatchObject({ events: 2_100, distinct: 2_100, counters: 2, differences: 0 });

  // Half of the time: whole days, since that is the widest window.
  await runRebuild({ counter: "second", from: "2015-09-13T00:00:00Z", url: app.url }, io());
  const [first, second] = [(await answersOf("first"))[2].buckets, (await answersOf("second"))[2].buckets];
  const startOf = ({ start }: { start: string }) => start;
  const since = (buckets: { start: string }[]) => buckets.filter((one) => startOf(one) >= "2015-09-13");
  expect(since(second)).toEqual(since(first));
  expect(second[0].count + second[11].count).toBe(0);
  expect((await verify()).differences).toBeGreaterThan(0);
  await runRebuild({ counter: "second", url: app.url }, io());
  expect((await verify()).differences).toBe(0);
});

test("a lake that was changed behind one's back is not verified", { timeout: 60_000 }, async () => {
  const store = new FolderStore(lake);
  for await (const { name } of store.list("")) {
    if (!name.endsWith(SEGMENT_SUFFIX)) continue;
    await appendFile(join(lake, name), "x");
    await expect(verify()).rejects.toThrow(/^--archive: .* is not what its manifest says$/);
    await expect(runRebuild({ counter: "second", url: app.url }, io())).rejects.toThrow(/^second was not rebuilt: /);
    await store.remove(name);
    await expect(verify()).rejects.toThrow(/is gone: it was merged or dropped while the lake was read, or it is lost/);
    return;
  }
});

test("what cannot be rebuilt is answered as such", async () => {
  const rebuild = (name: string, body: unknown) => app.call("POST", `/v1/counters/${name}/rebuild`, body);
  expect((await rebuild("third", {})).body).toMatchObject({ code: "unknown_counter" });
  expect((await rebuild("second", { from: "yesterday" })).body).toMatchObject({ code: "invalid_span" });
  expect((await rebuild("second", { from: "2", to: "1" })).body).toMatchObject({ code: "invalid_span" });
  expect((await rebuild("second", { from: { at: 1 } })).status).toBe(400);
  expect((await app.call("GET", "/v1/counters/first/rebuild")).body).toMatchObject({ code: "not_found" });
  const without = await startTestApp(null);
  try {
    const { status, body } = await without.call("POST", "/v1/counters/events/rebuild", {});
    expect([status, body.code]).toEqual([409, "archive_off"]);
  } finally {
    await without.stop();
  }
});
