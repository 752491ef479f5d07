import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { open } from "../dashboard/browser.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { browserNote, chromiumPath, launchChromium } from "../support/chromium.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startTestApp(null);
});
afterAll(() => app.stop());

test("/docs names nothing from elsewhere, and its policy lets nothing in", async () => {
  const { status, headers, body } = await app.call("GET", "/docs");
  expect(status).toBe(200);
  expect(headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
  expect(headers.get("content-security-policy")).not.toContain("unsafe");
  expect(body).not.toMatch(/(src|href)="(https?:)?\/\//);
});

describe.skipIf(!chromiumPath)(`in Chromium${browserNote}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterAll(() => browser?.close());

  test("/docs shows every operation and sends a request, under its policy", async () => {
    const { page, faults } = await open(browser, "about:blank");
    const foreign: string[] = [];
    page.on("request", (request) => {
      if (/^https?:/.test(request.url()) && !request.url().startsWith(app.url)) foreign.push(request.url());
    });
    await page.goto(`${app.url}/docs`);
    await page.locator(".opblock").first().waitFor();
    const { body: document } = await app.call("GET", "/openapi.json");
    const operations = Object.values(document.paths as Record<string, object>).flatMap((one) => Object.keys(one));
    expect(await page.locator(".opblock").count()).toBe(operations.length);
    const block = page.locator("#operations-Counters-listCounters");
    await block.locator(".opblock-summary-control").click();
    await block.getByRole("button", { name: "Try it out" }).click();
    await block.getByRole("button", { name: "Execute" }).click();
    await block.locator(".live-responses-table .response-col_status").filter({ hasText: "200" }).waitFor();
    expect(await block.locator(".live-responses-table .microlight").first().textContent()).toContain('"events"');
    expect({ faults, foreign }).toEqual({ faults: [], foreign: [] });
  });
});
