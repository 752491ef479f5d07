import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { applied, startStub } from "../cli/replay/stub.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { freePort } from "../support/ports.ts";
import { openClient } from "./helpers.ts";

const PROGRAM = fileURLToPath(new URL("program.ts", import.meta.url));

let app: TestApp;

beforeAll(async () => {
  app = await startTestApp([{ name: "all", event: "*", by: ["source"], windows: ["1h"], sum: "data.n" }]);
});

afterAll(() => app.stop());

function start(...args: string[]) {
  const child = spawn(process.execPath, ["--import", "tsx", PROGRAM, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: Record<string, unknown>[] = [];
  let rest = "";
  child.stdout.on("data", (chunk) => {
    const parts = `${rest}${chunk}`.split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts.map((part) => JSON.parse(part) as Record<string, unknown>));
  });
  return { child, lines, ended: once(child, "close").then(() => child.exitCode) };
}

async function total() {
  const { client } = openClient({ url: app.url });
  await client.send({ type: "marker", source: "marker" }, { wait: "applied" });
  return client.value("all", { key: [""], last: "2h" });
}

test("a program that has nothing left to do ends once its events are counted", async () => {
  const { lines, ended } = start(app.url, "250", "plain");
  expect(await ended).toBe(0);
  expect(lines).toEqual([{ tracked: 250 }]);
  expect(await total()).toMatchObject({ count: 250 });
});

test("where nobody listens, it ends all the same, and says what was not counted", async () => {
  const began = performance.now();
  const { lines, ended } = start(`http://127.0.0.1:${await freePort()}`, "250", "nowhere");
  expect(await ended).toBe(0);
  expect(lines).toEqual([{ tracked: 250 }, { reason: "closed", n: 250 }]);
  expect(performance.now() - began).toBeLessThan(25_000);
});

test("a program that is killed loses what was not acknowledged; tracked again with the same ids, all count once", async () => {
  const { count: before } = await total();
  // The service gets the first batches, and its replies to the second are held back.
  const stub = await startStub(async (received) => {
    const sent = await app.call("POST", "/v1/events", received.lines.join("\n"), {
      "content-type": "application/x-ndjson",
    });
    expect(sent.status).toBe(202);
    if (received.number === 1) applied(received);
  });
  const killed = start(stub.url, "500", "killed", "stay");
  await expect.poll(() => stub.requests.length, { timeout: 30_000 }).toBe(2);
  await expect.poll(() => killed.lines.at(-1)?.acknowledged, { timeout: 10_000 }).toBe(100);
  killed.child.kill("SIGKILL");
  await killed.ended;
  // 100 were acknowledged, 100 were queued without its knowing, 300 went with it.
  await expect.poll(async () => (await total()).count).toBe(Number(before) + 200);
  const again = start(app.url, "500", "killed");
  expect(await again.ended).toBe(0);
  expect(await total()).toMatchObject({ count: Number(before) + 500 });
});
