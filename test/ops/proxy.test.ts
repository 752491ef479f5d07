import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { call, startTestApp, type TestApp } from "../support/app.ts";
import { readProjectFile } from "../support/compose.ts";
import { freePort } from "../support/ports.ts";

/** The proxy of docker-compose.yml, by a local nginx, before one service with every role; `api-2` is down. */

const NGINX = "/usr/sbin/nginx";
const isThere = existsSync(NGINX);

describe.skipIf(!isThere)(isThere ? "nginx" : "no nginx is installed", () => {
  let app: TestApp;
  let directory: string;
  let nginx: ChildProcess;
  let url: string;

  beforeAll(async () => {
    app = await startTestApp(null);
    directory = await mkdtemp(join(tmpdir(), "tallymark-proxy-"));
    const [port, closed] = [await freePort(), await freePort()];
    url = `http://127.0.0.1:${port}`;
    const site = readProjectFile("ops/nginx/tallymark.conf")
      .replaceAll("api-2:8080", `127.0.0.1:${closed}`)
      .replaceAll(/\b(api-1|live|jobs):8080/g, new URL(app.url).host)
      .replace("listen 8080", `listen 127.0.0.1:${port}`)
      .replace("/dev/stdout", join(directory, "access.log"));
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
      (name) => `${name}_temp_path ${join(directory, name)};`,
    );
    const main = `daemon off; worker_processes 1; pid ${join(directory, "pid")}; error_log stderr;
      events {} http { ${temporary.join(" ")} ${site} }`;
    await writeFile(join(directory, "nginx.conf"), main);
    const args = ["-p", directory, "-c", join(directory, "nginx.conf")];
    execFileSync(NGINX, [...args, "-t"], { stdio: "pipe" });
    nginx = spawn(NGINX, args, { stdio: "ignore" });
    await vi.waitFor(() => call(url, "GET", "/livez"), { timeout: 10_000 });
  });
  afterAll(async () => {
    if (nginx) {
      nginx.kill("SIGTERM");
      await once(nginx, "exit");
    }
    await app?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test("while one api is down, the other takes every event", async () => {
    for (let i = 0; i < 20; i++) {
      const answer = await call(url, "POST", "/v1/events?wait=applied", { id: `e${i}`, type: "t" });
      expect(answer).toMatchObject({ status: 200, body: { applied: 1 } });
    }
    expect((await call(url, "GET", "/v1/counters/events/value?last=1h")).body.count).toBe(20);
  });

  test("live feeds, the board and the page come through, metrics do not", async () => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/live?token=s3cret`);
    await once(socket, "open");
    socket.send(JSON.stringify({ op: "subscribe", id: "a", feed: "value", counter: "events", last: "1h" }));
    const [text] = await once(socket, "message");
    expect(JSON.parse(String(text))).toMatchObject({ data: { count: 20 } });
    socket.terminate();
    expect((await call(url, "GET", "/jobs")).status).toBe(200);
    expect((await call(url, "GET", "/")).body).toContain("<title>");
    expect((await call(url, "GET", "/metrics")).status).toBe(404);
  });

  test("a live feed over server-sent events comes at once", async () => {
    const response = await fetch(`${url}/v1/live/sse?feed=value&counter=events&last=1h&token=s3cret`);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    while (!text.includes("event: snapshot")) text += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    await expect.poll(() => readFile(join(directory, "access.log"), "utf8")).toContain("/v1/live/sse");
    expect(await readFile(join(directory, "access.log"), "utf8")).not.toContain("s3cret");
  });
});
