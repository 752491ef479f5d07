import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { startTestApp } from "../support/app.ts";
import { eventLine, json, temporaryFile } from "./helpers.ts";
import { applied, startStub } from "./replay/stub.ts";

/** Runs a command as a user would. */
function run(args: readonly string[], onStart: (child: ReturnType<typeof spawn>) => void = () => {}) {
  const main = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, ...args], { stdio: "pipe" });
  const written = { out: "", err: "" };
  child.stdout.on("data", (chunk) => {
    written.out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    written.err += chunk;
  });
  onStart(child);
  return new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, ...written }));
  });
}

test("replay exits 0 with one line of JSON, also from a pipe", async () => {
  const stub = await startStub();
  const { code, out, err } = await run(["replay", "-", "--url", stub.url, "--speed", "max"], ({ stdin }) => {
    stdin?.end(`${eventLine(1)}\n${eventLine(2)}`);
  });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(JSON.parse(out)).toMatchObject({ lines: 2, sent: 2, applied: 2 });
  expect(out.trimEnd().split("\n")).toHaveLength(1);
});

test("a failure is one sentence and exit code 1", async () => {
  const stub = await startStub(({ response }) => json(response, 404, {}));
  const missing = await run(["replay", "/nowhere.ndjson", "--url", stub.url]);
  expect(missing).toEqual({ code: 1, out: "", err: "tallymark: /nowhere.ndjson: there is no such file\n" });
  const wrong = await run(["replay", await temporaryFile(eventLine(1)), "--url", stub.url]);
  expect(wrong.code).toBe(1);
  expect(wrong.err).toBe(`tallymark: ${stub.url}/v1/events answered 404\n`);
  const verify = await run(["verify", await temporaryFile(eventLine(1)), "--url", stub.url]);
  expect(verify).toEqual({ code: 1, out: "", err: `tallymark: ${stub.url}/v1/counters answered 404\n` });
});

test("Ctrl-C finishes the request in flight, prints the summary and exits 130", async () => {
  let interrupt = () => {};
  const stub = await startStub((received) => {
    interrupt();
    // The answer comes after the signal; the next request would be the second.
    setTimeout(() => applied(received), 50);
  });
  const file = await temporaryFile(Array.from({ length: 5_000 }, (_, i) => eventLine(i)).join("\n"));
  const { code, out, err } = await run(["replay", file, "--url", stub.url], (child) => {
    interrupt = () => void child.kill("SIGINT");
  });
  expect({ code, err }).toEqual({ code: 130, err: "" });
  expect(JSON.parse(out)).toMatchObject({ sent: 1_000, applied: 1_000 });
  expect(stub.requests).toHaveLength(1);
});

test("tail prints until Ctrl-C, then exits 130; top ends when nobody reads any further", async () => {
  const app = await startTestApp([{ name: "all", event: "*", by: ["type"], windows: ["1m"] }]);
  onTestFinished(() => app.stop());
  await app.call("POST", "/v1/events?wait=applied", [{ type: "a" }]);
  const tail = await run(["tail", "all", "--key", "a", "--url", app.url], (child) => {
    child.stdout?.once("data", () => child.kill("SIGINT"));
  });
  expect(tail).toMatchObject({ code: 130, err: "" });
  expect(tail.out).toMatch(/^20\S+ {2}count=1 {2}delta\/s=-\n$/);
  const top = await run(["top", "all", "--url", app.url], (child) => {
    child.stdout?.once("data", () => {
      child.stdout?.destroy();
      void app.call("POST", "/v1/events?wait=applied", [{ type: "a" }]);
    });
  });
  expect(top).toMatchObject({ code: 0, err: "" });
  const nobody = await run(["tail", "nobody", "--url", app.url]);
  expect(nobody).toEqual({ code: 1, out: "", err: 'tallymark: there is no counter "nobody"\n' });
});
