import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bearer, keysFor, VIEWS } from "../access/support.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { browserNote, chromiumPath, launchChromium } from "../support/chromium.ts";
import { eventually, open } from "./browser.ts";

describe.skipIf(!chromiumPath)(`pages of a service with keys${browserNote}`, () => {
  let app: TestApp;
  let browser: Browser;
  let keys: Record<"all" | "ingest", string>;
  beforeAll(async () => {
    const file = await keysFor({ all: ["ingest", "read", "admin"], ingest: ["ingest"] });
    keys = file.keys;
    app = await startTestApp([VIEWS], { TALLYMARK_API_KEYS_FILE: file.path });
    await app.call("POST", "/v1/events?wait=applied", { type: "view", subject: "/a" }, bearer(keys.all));
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await app?.stop();
  });

  test("the dashboard asks for a key, says what is wrong with one, and works with the right one", async () => {
    const { page, faults } = await open(browser, app.url);
    const enter = async (key: string) => {
      await page.getByLabel("API key").fill(key);
      await page.getByRole("button", { name: "Use it in this tab" }).click();
    };
    await page.getByText("a valid API key is needed").first().waitFor();
    await enter(keys.ingest);
    await page.getByText('the key "ingest" lacks the scope read').first().waitFor();
    await enter(keys.all);
    await page.getByRole("heading", { name: "views" }).waitFor();
    await eventually(() => page.locator(".headline dd").first().textContent()).toBe("1");
    expect(page.url()).not.toContain("tm_");
    expect(await page.evaluate("JSON.stringify(localStorage) + document.cookie")).not.toContain("tm_");
    expect(faults.filter((fault) => fault.startsWith("policy") || fault.startsWith("script"))).toEqual([]);
  });

  test("the board of the jobs asks for it as a password, and runs under its own policy", async () => {
    const options = { httpCredentials: { username: "me", password: keys.all } };
    const { page, faults } = await open(browser, `${app.url}/jobs`, options);
    await page.getByText("close").first().waitFor();
    // Its fonts are somebody else's; it does without.
    expect(faults.filter((fault) => !fault.includes("fonts.googleapis.com"))).toEqual([]);
  });
});
