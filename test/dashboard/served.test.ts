import { get } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp(null);
});
afterAll(() => app.stop());

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'none'",
].join("; ");

test.each([
  ["/", "text/html; charset=utf-8"],
  ["/dashboard.js", "application/javascript; charset=utf-8"],
  ["/dashboard.css", "text/css; charset=utf-8"],
])("%s is served under a strict policy, and again only when it changed", async (path, type) => {
  const { status, headers } = await app.call("GET", path);
  expect(status).toBe(200);
  expect(Object.fromEntries(headers)).toMatchObject({
    "content-type": type,
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
  });
  const etag = headers.get("etag") as string;
  expect(await statusOf(path, { "if-none-match": etag })).toBe(304);
  expect(await statusOf(path, { "if-none-match": '"another"' })).toBe(200);
});

/** As a browser asks: `fetch` would forbid the server to answer from what the client has. */
function statusOf(path: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = get(app.url + path, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", reject);
  });
}

test("nothing else of the disk is served, and the board of the jobs still is", async () => {
  for (const path of ["/package.json", "/../package.json", "/%2e%2e/main.js", "/dashboard.tsx"]) {
    expect(await app.call("GET", path)).toMatchObject({ status: 404, body: { code: "not_found" } });
  }
  expect((await app.call("GET", "/jobs")).body).toContain("<title>");
});
