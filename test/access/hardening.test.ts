import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { VIEWS } from "./support.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp([VIEWS]);
});
afterAll(() => app.stop());

function dial(): Socket {
  const { hostname, port } = new URL(app.url);
  return connect({ host: hostname, port: Number(port) });
}

/** Everything that comes until the other side closes. */
async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => undefined);
  await once(socket, "close");
  return text;
}

describe.concurrent("connections", () => {
  test("headers that come byte by byte are given up after ten seconds, and hold up nobody", async ({ expect }) => {
    const started = performance.now();
    const socket = dial();
    const bytes = [..."GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"];
    const timer = setInterval(() => socket.writable && socket.write(bytes.shift() ?? "a"), 100);
    const closed = readAll(socket);
    expect((await app.call("GET", "/livez")).status).toBe(200);
    const answer = await closed;
    clearInterval(timer);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(JSON.parse(answer.slice(answer.indexOf("{")))).toMatchObject({ status: 408, code: "request_timeout" });
    const seconds = (performance.now() - started) / 1_000;
    expect(seconds).toBeGreaterThan(9);
    expect(seconds).toBeLessThan(15);
  }, 30_000);

  test("headers that are too large, and what is no HTTP, are told so", async ({ expect }) => {
    const large = dial();
    large.write(`GET /livez HTTP/1.1\r\nhost: x\r\nx-large: ${"a".repeat(20_000)}\r\n\r\n`);
    expect(await readAll(large)).toMatch(/^HTTP\/1\.1 431 [\s\S]*"code":"headers_too_large"/);
    const nonsense = dial();
    nonsense.write("this is not HTTP\r\n\r\n");
    expect(await readAll(nonsense)).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"bad_request"/);
  });
});

const NESTED = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
const BRACKETS = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`;
const POISONS = ['{"__proto__":{"polluted":1}}', '{"constructor":{"prototype":{"polluted":1}}}'];

describe("bodies that try to break what reads them", () => {
  const TARGETS: [method: string, path: string][] = [
    ["PUT", "/v1/counters/x"],
    ["POST", "/v1/query"],
    ["POST", "/v1/alerts"],
    ["POST", "/v1/keys"],
    ["POST", "/v1/late/readmit"],
  ];

  test.each(TARGETS)("%s %s answers 400 to all of them", async (method, path) => {
    for (const body of [...POISONS, NESTED(100_000), BRACKETS, `{"queries":[${NESTED(100_000)}]}`]) {
      const { status, headers, body: answer } = await app.call(method, path, body);
      // Queries are answered one by one.
      const problem = status === 200 && path === "/v1/query" ? answer.results[0] : answer;
      expect([body.slice(0, 30), problem.status]).toEqual([body.slice(0, 30), 400]);
      if (problem === answer) expect(headers.get("content-type")).toContain("problem+json");
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("in events: names of the prototype are data, and levels are bounded", async () => {
    const send = (data: string) => app.call("POST", "/v1/events?wait=applied", `{"type":"view","data":${data}}`);
    for (const poison of POISONS) expect((await send(poison)).body.applied).toBe(1);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect((await send(NESTED(64))).body.applied).toBe(1);
    for (const data of [NESTED(65), NESTED(5_000), `{"a":${BRACKETS}}`]) {
      const { status, body } = await send(data);
      expect([status, body.rejected[0].code]).toEqual([400, "invalid_data"]);
      expect(body.rejected[0].detail).toBe("data: must be nested at most 64 levels deep");
    }
  });

  test("fields named like the prototype's are looked for in the event alone", async () => {
    const by = ["data.__proto__", "data.constructor", "data.a.constructor.name"];
    expect((await app.call("PUT", "/v1/counters/odd", { event: "odd", by })).status).toBe(201);
    await app.call(
      "POST",
      "/v1/events?wait=applied",
      '{"type":"odd","data":{"a":{},"__proto__":"p","constructor":"c"}}',
    );
    expect((await app.call("GET", "/v1/counters/odd/keys")).body.keys).toEqual([["p", "c", ""]]);
  });

  test("the service is as well as before", async () => {
    expect((await app.call("GET", "/readyz")).body.status).toBe("ok");
  });
});

test("while no key is needed, pages of others can read and write nothing", async () => {
  const origin = "https://evil.example";
  for (const [method, path] of [
    ["POST", "/v1/dead-letters/nothing/retry"],
    ["DELETE", "/v1/counters/views"],
    ["POST", "/v1/events"],
  ] as const) {
    const { status, body } = await app.call(method, path, undefined, { origin });
    expect([path, status, body.code]).toEqual([path, 403, "forbidden_origin"]);
  }
  const { headers } = await app.call("GET", "/v1/counters", undefined, { origin });
  expect(headers.get("access-control-allow-origin")).toBeNull();
  expect((await app.call("DELETE", "/v1/counters/none", undefined, { origin: app.url })).status).toBe(404);
});
