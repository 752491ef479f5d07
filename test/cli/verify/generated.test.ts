import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GeneratedRun, generateBatch, generateEvents } from "../../../src/cli/verify/generated.ts";
import { runVerify } from "../../../src/cli/verify/verify.ts";
import { startTestApp, type TestApp } from "../../support/app.ts";
import { temporaryFile, testIo } from "../helpers.ts";

/** What load scripts send, sent by this process: a real service, and a recount from the run's numbers alone. */

const { counters } = JSON.parse(
  await readFile(new URL("../../../load/k6/tallymark.config.json", import.meta.url), "utf8"),
);
const run: GeneratedRun = {
  seed: 7,
  startedAt: Date.now(),
  batch: 200,
  copies: 20,
  iterations: { 1: 6, 2: 4, 9: 1 },
  unknown: 0,
};

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp(counters);
  for (const [vu, iterations] of Object.entries(run.iterations)) {
    for (let i = 0; i < iterations; i++) {
      const { status } = await app.call("POST", "/v1/events?wait=applied", generateBatch(run, Number(vu), i));
      expect(status).toBe(200);
    }
  }
});
afterAll(() => app.stop());

const verify = async (...runs: unknown[]) => {
  const files = await Promise.all(runs.map((one) => temporaryFile(JSON.stringify(one))));
  return runVerify({ files, generated: true, url: app.url, subset: false }, testIo());
};

test("a run is recounted from its numbers, copies and all", async () => {
  const events = [...generateEvents(run)];
  const distinct = new Set(events.map(({ id }) => id)).size;
  expect(events).toHaveLength(2_200);
  expect(distinct).toBeGreaterThan(1_700);
  expect(distinct).toBeLessThan(2_000);
  expect(await verify(run)).toMatchObject({ events: 2_200, distinct, differences: 0 });
});

test("one iteration more or less, or another seed, is a difference", async () => {
  for (const other of [{ iterations: { 1: 6, 2: 4 } }, { iterations: { 1: 7, 2: 4, 9: 1 } }, { seed: 8 }]) {
    expect((await verify({ ...run, ...other })).differences).toBeGreaterThan(0);
  }
});

test("several runs on one service are recounted together", async () => {
  const next: GeneratedRun = { ...run, seed: 70, iterations: { 1: 1 } };
  await app.call("POST", "/v1/events?wait=applied", generateBatch(next, 1, 0));
  expect((await verify(run)).differences).toBeGreaterThan(0);
  expect(await verify(run, next)).toMatchObject({ events: 2_400, differences: 0 });
});

test("a run whose requests are not all answered cannot be recounted, nor can what is no manifest", async () => {
  await expect(verify({ ...run, unknown: 2 })).rejects.toThrow(/: the outcome of 2 requests is not known$/);
  await expect(verify({ ...run, batch: 0, extra: 1 })).rejects.toThrow(
    /: is not the manifest of a run: extra: is not a field of a run; batch: must be >= 1$/,
  );
  const files = [await temporaryFile("{")];
  await expect(runVerify({ files, generated: true, url: app.url, subset: false }, testIo())).rejects.toThrow(/JSON/);
});
