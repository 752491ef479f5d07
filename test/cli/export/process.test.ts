import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { call } from "../../support/app.ts";
import { removeTemporaryDirectories, startService } from "../../support/service.ts";
import { serve } from "../helpers.ts";
import { COUNTERS, SALES, SPAN } from "./sent.ts";
import { startStub } from "./stub.ts";

const MAIN = fileURLToPath(new URL("../../../dist/main.js", import.meta.url));

afterAll(removeTemporaryDirectories);

/** Runs the built command as a user would. */
function startExport(url: string, args: readonly string[]) {
  const options = ["--counter", "sales", "--from", SPAN.from, "--to", SPAN.to, "--url", url, ...args];
  const child = spawn(process.execPath, [MAIN, "export", ...options], { stdio: ["ignore", "pipe", "pipe"] });
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return { child, ended: once(child, "close").then(([code]) => ({ code, err })) };
}

/** Passes requests on, and waits before the second query. */
async function proxyTo(target: string, beforeSecond: () => Promise<void>): Promise<string> {
  let queries = 0;
  return serve(async ({ method = "GET", url = "" }, body, response) => {
    if (url === "/v1/query" && ++queries === 2) await beforeSecond();
    try {
      const answer = await call(target, method, url, body || undefined);
      response.writeHead(answer.status, { "content-type": "application/json" }).end(JSON.stringify(answer.body));
    } catch {
      response.destroy();
    }
  });
}

/** Holds everybody until so many have come and `run` has run. */
function gate(count: number, run: () => Promise<void>): () => Promise<void> {
  let arrived = 0;
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async () => {
    if (++arrived === count) await run().then(open);
    await opened;
  };
}

test("a service killed midway: exit code 1, and no file to be taken for a whole one", async () => {
  const service = await startService({ config: { counters: COUNTERS } });
  onTestFinished(service.kill);
  for (let i = 0; i < SALES.length; i += 400) {
    const { status } = await call(service.url, "POST", "/v1/events?wait=applied", SALES.slice(i, i + 400));
    expect(status).toBe(200);
  }
  // All of them are in the middle when it is killed: the span is a day, so that one request cannot hold all keys.
  const formats = ["csv", "ndjson", "parquet"];
  const killed = gate(formats.length, service.kill);
  const directory = await mkdtemp(join(tmpdir(), "tallymark-export-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const runs = await Promise.all(
    formats.map(async (format) => {
      const url = await proxyTo(service.url, killed);
      const file = join(directory, format);
      return startExport(url, ["--format", format, "--output", file, "--to", "2015-09-13T10:00:00Z"]);
    }),
  );
  for (const { ended } of runs) {
    expect(await ended).toEqual({ code: 1, err: expect.stringMatching(/^tallymark: \S+ cannot be reached \(.*\)\n$/) });
  }
  expect(await readdir(directory)).toEqual([]);
});

test("a reader that leaves ends it with a sentence", async () => {
  const stub = await startStub({ keys: [Array.from({ length: 1_000 }, (_, i) => [`key ${i} ${"x".repeat(1_000)}`])] });
  const { child, ended } = startExport(stub.url, ["--format", "ndjson"]);
  child.stdout.once("data", () => child.stdout.destroy());
  expect(await ended).toEqual({ code: 1, err: "tallymark: standard output: write EPIPE\n" });
});

test("one line of JSON on standard error, the rows on standard output", async () => {
  const stub = await startStub({ keys: [[["a"], ["b"]]] });
  const { child, ended } = startExport(stub.url, ["--format", "csv", "--window", "1h"]);
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  const { code, err } = await ended;
  expect(code).toBe(0);
  expect(out).toMatch(/^subject,other,start,count,sum,final\na,false,2015-/);
  expect(JSON.parse(err)).toMatchObject({ rows: 3, keys: 3 });
});
