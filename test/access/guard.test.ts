import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Tallymark, type TallymarkError } from "../../src/client/index.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { bearer, keysFile, newKey, VIEWS } from "./support.ts";

const ORIGIN = "https://pages.example";
const KEYS = { all: newKey(), read: newKey(), expired: newKey() };

let app: TestApp;
beforeAll(async () => {
  const path = await keysFile([
    { name: "all", key: KEYS.all, scopes: ["ingest", "read", "admin"] },
    { name: "reader", key: KEYS.read, scopes: ["read"] },
    { name: "expired", key: KEYS.expired, scopes: ["read"], expiresAt: "2020-01-01T00:00:00Z" },
  ]);
  app = await startTestApp([VIEWS], { TALLYMARK_API_KEYS_FILE: path, TALLYMARK_ALLOWED_ORIGINS: ORIGIN });
});
afterAll(() => app.stop());

describe("401", () => {
  const CAUSES: Record<string, Record<string, string>> = {
    "no key": {},
    "an unknown key": bearer(newKey()),
    "an expired key": bearer(KEYS.expired),
    "a key with something behind it": bearer(`${KEYS.read}x`),
    "half a key": bearer(KEYS.read.slice(0, -1)),
    "no scheme": { authorization: KEYS.read },
    "another scheme": { authorization: `Basic ${Buffer.from(`:${KEYS.read}`).toString("base64")}` },
    "an empty key": { authorization: "Bearer " },
    "a key of another name": { "x-api-key": KEYS.read },
  };

  test.each(Object.keys(CAUSES))("%s: one answer for all causes", async (cause) => {
    const { status, headers, body } = await app.call("GET", "/v1/counters", undefined, CAUSES[cause]);
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toBe("Bearer");
    expect(headers.get("content-type")).toContain("application/problem+json");
    expect(body).toEqual({
      type: "urn:tallymark:problem:unauthorized",
      title: "A valid API key is needed",
      status: 401,
      code: "unauthorized",
      detail: "a valid API key is needed: Authorization: Bearer tm_…",
    });
  });

  test("nothing of a request is read before: a body of any size and kind is refused alike", async () => {
    const body = `"${"x".repeat(9 * 1024 * 1024)}"`;
    expect((await app.call("PUT", "/v1/counters/x", "{", {})).status).toBe(401);
    // The service may answer and close while the rest is still being sent.
    const answer = await app.call("POST", "/v1/events", body).catch((error: Error) => error.message);
    expect([401, "fetch failed"]).toContain(typeof answer === "string" ? answer : answer.status);
  });

  test("the scheme's name is not case-sensitive, and what is not there is 404 for all", async () => {
    const headers = { authorization: `bEaReR  ${KEYS.read}` };
    expect((await app.call("GET", "/v1/counters", undefined, headers)).status).toBe(200);
    expect((await app.call("GET", "/v1/nowhere")).status).toBe(404);
  });

  test("refusals are counted by their code", async () => {
    const { body } = await app.call("GET", "/metrics", undefined, bearer(KEYS.read));
    expect(body).toMatch(/tallymark_http_refused_total\{code="unauthorized"\} \d/);
  });
});

test("403 names the scope", async () => {
  const { status, body } = await app.call("PUT", "/v1/counters/x", { event: "x" }, bearer(KEYS.read));
  expect([status, body.code, body.scope]).toEqual([403, "forbidden", "admin"]);
  expect(body.detail).toBe('the key "reader" lacks the scope admin');
});

describe("?token=", () => {
  const connect = (query: string) => new WebSocket(`${app.url.replace("http", "ws")}/v1/live${query}`);

  test("opens a WebSocket; without it, or with a wrong one, the upgrade is refused with 401", async () => {
    const socket = connect(`?token=${KEYS.read}`);
    socket.on("open", () => socket.send('{"op":"subscribe","id":"a","feed":"value","counter":"views","last":"1m"}'));
    const [data] = await once(socket, "message");
    expect(JSON.parse(String(data))).toMatchObject({ id: "a", event: "snapshot", data: { count: 0 } });
    socket.terminate();
    for (const query of ["", "?token=", `?token=${newKey()}`, `?token=%ff`, `?tokens=${KEYS.read}`]) {
      const [error] = await once(connect(query), "error");
      expect((error as Error).message).toBe("Unexpected server response: 401");
    }
  });

  test("opens an event stream beside other parameters, whose answer a page on the list may read", async () => {
    const url = `${app.url}/v1/live/sse?feed=value&token=${KEYS.read}&counter=views&last=1m`;
    const controller = new AbortController();
    const response = await fetch(url, { headers: { origin: ORIGIN }, signal: controller.signal });
    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const { value } = await reader.read();
    expect(new TextDecoder().decode(value)).toContain("retry:");
    controller.abort();
  });

  test("is no key elsewhere", async () => {
    expect((await app.call("GET", `/v1/counters?token=${KEYS.read}`)).status).toBe(401);
  });

  test("the client follows with its key, and is told when it has none that is valid", async () => {
    const client = new Tallymark({ url: app.url, apiKey: KEYS.read });
    await new Promise<void>((resolve) => client.subscribe({ feed: "stats" }, { onData: () => resolve() }));
    await client.close();
    const stranger = new Tallymark({ url: app.url, apiKey: newKey() });
    const error = await new Promise<TallymarkError>((resolve) => {
      const subscription = stranger.subscribe({ feed: "stats" }, { onError: resolve });
      expect(subscription.state).toBe("connecting");
    });
    expect([error.status, error.code]).toEqual([401, "unauthorized"]);
    await stranger.close();
  });
});

describe("/jobs, which browsers open by themselves", () => {
  const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(`me:${key}`).toString("base64")}` });

  test("takes the key as the password of HTTP Basic, which is asked for", async () => {
    const { status, headers } = await app.call("GET", "/jobs");
    expect([status, headers.get("www-authenticate")]).toEqual([401, 'Basic realm="tallymark", charset="UTF-8"']);
    expect((await app.call("GET", "/jobs", undefined, basic(KEYS.read))).status).toBe(403);
    expect((await app.call("GET", "/jobs", undefined, basic(KEYS.all))).body).toContain("<title>");
  });

  test("does nothing for other pages: a browser sends that password by itself", async () => {
    const put = (origin: string) =>
      app.call("PUT", "/jobs/api/queues/nothing/pause", undefined, { ...basic(KEYS.all), origin });
    expect((await put("https://evil.example")).body.code).toBe("forbidden_origin");
    expect((await put(app.url)).status).toBe(404);
  });
});

describe("CORS", () => {
  const preflight = (origin: string) =>
    app.call("OPTIONS", "/v1/events", undefined, {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    });

  test("pages on the list are told that they may, without a key; others are not", async () => {
    const { status, headers } = await preflight(ORIGIN);
    expect([status, headers.get("access-control-allow-origin")]).toEqual([204, ORIGIN]);
    expect(headers.get("access-control-allow-headers")).toBe("authorization,content-type");
    expect(headers.get("access-control-allow-methods")).toContain("PUT");
    expect((await preflight("https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
  });

  test("answers, refusals among them, can be read by pages on the list", async () => {
    for (const headers of [{}, bearer(KEYS.read)]) {
      const answer = await app.call("GET", "/v1/counters", undefined, { origin: ORIGIN, ...headers });
      expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
      expect(answer.headers.get("access-control-expose-headers")).toContain("RateLimit");
      expect(answer.headers.get("vary")).toContain("Origin");
    }
  });
});

test("answers carry their request's id, and are neither run, framed nor guessed at", async () => {
  const answers = await Promise.all([
    app.call("GET", "/v1/counters", undefined, bearer(KEYS.read)),
    app.call("GET", "/v1/counters"),
    app.call("GET", "/nowhere"),
  ]);
  for (const { headers } of answers) {
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
      "x-request-id": expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
    });
  }
});
