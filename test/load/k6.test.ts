import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GeneratedEvent, generateBatch, type Recipe } from "../../src/cli/verify/generated.ts";
import { runVerify } from "../../src/cli/verify/verify.ts";
import { testIo } from "../cli/helpers.ts";
import { startTestApp, type TestApp } from "../support/app.ts";

/** The load scripts in k6 itself: what they report is exact, whatever they meet. */

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const K6 = [...(process.env.PATH ?? "").split(delimiter), join(homedir(), "go/bin")]
  .map((directory) => join(directory, "k6"))
  .find((path) => existsSync(path));

describe.skipIf(!K6)(`with k6${K6 ? "" : " (skipped: not on PATH and not in ~/go/bin)"}`, () => {
  let app: TestApp;
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "tallymark-k6-"));
    const config = await readFile(join(ROOT, "load/k6/tallymark.config.json"), "utf8");
    app = await startTestApp(JSON.parse(config).counters);
  });
  afterAll(async () => {
    await app?.stop();
    await rm(directory, { recursive: true });
  });

  /** Runs a script; what latencies a busy machine has is not looked at. */
  async function k6(script: string, settings: Record<string, string | number> = {}) {
    const all = { URL: app.url, P95: 60_000, ...settings };
    const environment = Object.entries(all).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    const { stdout } = await run(K6 as string, [
      "run",
      "--quiet",
      "--no-usage-report",
      ...environment,
      join(ROOT, script),
    ]);
    return JSON.parse(stdout);
  }

  test("makes the same events as Node", async () => {
    const { run: recipe, batches } = (await k6("test/load/events.ts")) as { run: Recipe; batches: GeneratedEvent[][] };
    const ours = [0, 1, 2, 7, 299].flatMap((vu) => [0, 1, 500, 100_000].map((n) => generateBatch(recipe, vu, n)));
    expect(batches).toEqual(ours);
    expect(new Set(ours.flat().map(({ subject }) => subject)).size).toBeGreaterThan(200);
  });

  test("every script's answers are right, and what all of them sent is counted exactly", async () => {
    const runs = [
      { script: "lookups", SEED: 1, ITERATIONS: 5, VUS: 2 },
      { script: "ingest", SEED: 2, PROFILE: "duplicates" },
      { script: "ingest", SEED: 3, PROFILE: "burst", RATE: 3 },
      { script: "live", SEED: 4, RATE: 5, VIEWERS: 5 },
      { script: "mixed", SEED: 5, RATE: 5, VIEWERS: 2, VUS: 2 },
    ];
    const files: string[] = [];
    for (const { script, ...settings } of runs) {
      const file = join(directory, `${settings.SEED}.json`);
      const figures = await k6(`load/k6/${script}.ts`, { DURATION: 3, BATCH: 40, MANIFEST: file, ...settings });
      expect(figures, script).toMatchObject({ wrong: 0, unknown: 0, missed: [] });
      expect(figures.events, script).toBeGreaterThan(100);
      files.push(file);
    }
    const result = await runVerify({ files, generated: true, url: app.url, subset: false }, testIo());
    expect(result).toMatchObject({ counters: 1, differences: 0 });
    expect(result.distinct).toBeLessThan(result.events);
  });
});
