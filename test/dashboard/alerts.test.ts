import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { browserNote, chromiumPath, launchChromium } from "../support/chromium.ts";
import { checkAccess } from "./axe.ts";
import { closePages, eventually, open } from "./browser.ts";

describe.skipIf(!chromiumPath)(`alerts on the page${browserNote}`, () => {
  let app: TestApp;
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
    app = await startTestApp([{ name: "sales", event: "sale", by: ["subject"], windows: ["10s", "1m"] }]);
    await send(1, "/");
  });
  afterEach(async () => {
    await closePages(browser);
  });
  afterAll(async () => {
    await browser?.close();
    await app?.stop();
  });

  const send = (count: number, subject: string) =>
    app.call(
      "POST",
      "/v1/events?wait=applied",
      Array.from({ length: count }, () => ({ type: "sale", subject })),
    );
  const alert = (page: Page, name: string) =>
    page.locator(".alert", { has: page.getByRole("heading", { name, exact: true }) });
  const fill = async (page: Page, fields: Readonly<Record<string, string>>) => {
    const form = page.locator(".alert-form");
    for (const [label, text] of Object.entries(fields)) await form.getByLabel(label, { exact: true }).fill(text);
  };

  test("one is made, fires, is silenced, edited and deleted; its history tells what happened", async () => {
    const { page, faults } = await open(browser, app.url);
    await page.getByRole("button", { name: "New alert" }).click();
    await fill(page, { Name: "Many sales", "Over the last": "5m", Threshold: "3" });
    await page.getByRole("button", { name: "Create" }).click();
    const many = alert(page, "Many sales");
    await many.getByText("inactive").waitFor();
    expect(await many.getByText("count of sales in total, last 5m, > 3").count()).toBe(1);

    await send(5, "/");
    await eventually(() => many.locator(".tag").first().textContent()).toBe("firing");
    await page.locator(".alerts").getByText("1 of 1 firing").waitFor();
    expect(await page.getByRole("region", { name: "Service" }).getByRole("link").textContent()).toBe("1");
    await many.getByText("History of Many sales").click();
    await eventually(() => many.locator(".history li").first().textContent()).toMatch(/ firing · 6$/);

    await many.getByRole("button", { name: "Silence Many sales" }).click();
    await many.getByText("silent until").waitFor();
    await many.getByRole("button", { name: "End the silence of Many sales" }).click();
    await many.getByText("silent until").waitFor({ state: "detached" });

    await many.getByRole("button", { name: "Edit Many sales" }).click();
    await fill(page, { Name: "Very many sales", Threshold: "1000" });
    await page.getByRole("button", { name: "Save" }).click();
    const veryMany = alert(page, "Very many sales");
    await eventually(() => veryMany.locator(".tag").first().textContent()).toBe("inactive");
    await eventually(() => veryMany.locator(".history li").first().textContent()).toMatch(/ resolved/);

    await veryMany.getByRole("button", { name: "Delete Very many sales" }).click();
    await veryMany.getByRole("button", { name: "Really delete Very many sales?" }).click();
    await veryMany.waitFor({ state: "detached" });
    expect((await app.call("GET", "/v1/alerts")).body.alerts).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("a rule on each key names those that fire", async () => {
    const rule = { name: "Any page", counter: "sales", key: "*", last: "5m", op: ">=", threshold: 20 };
    const { body } = await app.call("POST", "/v1/alerts", rule);
    await send(20, "/<b>hot</b>");
    const { page } = await open(browser, app.url);
    await eventually(() => alert(page, "Any page").locator(".instances li").allTextContents()).toEqual([
      "firing /<b>hot</b> 20",
    ]);
    await app.call("DELETE", `/v1/alerts/${body.id}`);
  });

  test("what is wrong with a rule is told beside it, and nothing typed is lost", async () => {
    const { page } = await open(browser, app.url);
    await page.getByRole("button", { name: "New alert" }).click();
    await fill(page, { Name: "Bad", "Over the last": "soon", Threshold: "1" });
    await page.getByRole("button", { name: "Create" }).click();
    await eventually(() => page.locator(".alert-form .fault").textContent()).toMatch(/^last: /);
    expect(await page.getByLabel("Over the last", { exact: true }).inputValue()).toBe("soon");
    await checkAccess(page);
  });

  test("a webhook's secret is shown once", async () => {
    const { page } = await open(browser, app.url, { viewport: { width: 360, height: 740 } });
    await page.getByRole("button", { name: "New alert" }).click();
    await fill(page, { Name: "Hooked", Threshold: "1000000", "Webhook URL": "https://hooks.example.com/a" });
    await page.getByRole("button", { name: "Create" }).click();
    await eventually(() => page.locator(".secret code").textContent()).toMatch(/^whsec_/);
    await alert(page, "Hooked").waitFor();
    await checkAccess(page);
    await page.getByRole("button", { name: "Noted" }).click();
    await page.locator(".secret").waitFor({ state: "detached" });
    expect(await page.content()).not.toContain("whsec_");
  });
});
