import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { browserNote, chromiumPath, launchChromium } from "../support/chromium.ts";
import { checkAccess } from "./axe.ts";
import { closePages, eventually, open, screenshot } from "./browser.ts";

const THEMES = ["light", "dark"] as const;
/** axe looks at every cell of long tables, which takes its time on a busy machine, ms. */
const FULL_MS = 120_000;
const SIZES = { desk: { width: 1_440, height: 900 }, phone: { width: 360, height: 740 } } as const;
const LONG = "/a/path/that/somebody/made/for/reasons/of/their/own/and/that/no/screen/is/wide/enough/for";

describe.skipIf(!chromiumPath)(`accessibility${browserNote}`, () => {
  let app: TestApp;
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchChromium();
    app = await startTestApp([
      {
        name: "views",
        event: "view",
        by: ["subject", "data.country"],
        unique: "data.who",
        sum: "data.amount",
        windows: ["10s", "1m"],
      },
      { name: "all", event: "*", by: [], windows: ["10s", "1m"], lateness: "1m" },
    ]);
  });
  afterEach(async () => {
    await closePages(browser);
  });
  afterAll(async () => {
    await browser?.close();
    await app?.stop();
  });

  /** Events of the last half hour; the first counter takes what is at most ten minutes late. */
  const fill = () => {
    const events = Array.from({ length: 2_000 }, (_, i) => ({
      type: "view",
      subject: i % 7 === 0 ? LONG : `/${i % 5}`,
      time: Date.now() - (2_000 - i) * 900,
      data: { country: ["FR", "DE"][i % 2], amount: (i % 90) + 0.25, who: `w${i % 400}` },
    }));
    return app.call("POST", "/v1/events?wait=applied", events);
  };

  const cases = THEMES.flatMap((theme) => Object.entries(SIZES).map(([name, viewport]) => ({ theme, name, viewport })));

  test.each(cases)("empty, $theme, $name", async ({ theme, name, viewport }) => {
    const { page } = await open(browser, app.url, { colorScheme: theme, viewport });
    await page.getByRole("heading", { name: "No event yet" }).waitFor();
    await check(page, `empty-${theme}-${name}`);
  });

  test.each(cases)(
    "full, with everything opened, $theme, $name",
    async ({ theme, name, viewport }) => {
      expect((await fill()).status).toBe(200);
      const keys = [
        [LONG, "FR"],
        ["/1", "DE"],
      ]
        .map((key) => `&key=${encodeURIComponent(JSON.stringify(key))}`)
        .join("");
      const { page } = await open(browser, `${app.url}/?last=15m&show=views${keys}&show=all`, {
        colorScheme: theme,
        viewport,
      });
      await page.locator(".ranking .sparkline").first().waitFor();
      await page.getByLabel("Find keys: subject begins with").fill("/");
      await page.locator(".found button").first().waitFor();
      for (const summary of await page.locator(".numbers summary").all()) await summary.click();
      await page.getByRole("img", { name: /^all: count/ }).waitFor();
      await check(page, `full-${theme}-${name}`);
      await page.getByRole("button", { name: "Help and keyboard shortcuts" }).click();
      await page.getByRole("dialog").waitFor();
      await check(page, `help-${theme}-${name}`, "dialog");
    },
    FULL_MS,
  );

  test("everything is reached and used by keyboard, and what has the focus is seen", async () => {
    await fill();
    const { page } = await open(browser, `${app.url}/?last=15m&show=views`);
    await page.locator(".ranking th button").first().waitFor();
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the numbers");
    const unseen = await page.evaluate(`(async () => {
      const all = [...document.querySelectorAll("button, select, input, a[href], summary, [tabindex='0']")];
      const reachable = all.filter((element) => element.checkVisibility() && !element.disabled);
      return reachable.filter((element) => {
        element.focus({ focusVisible: true });
        return document.activeElement !== element || getComputedStyle(element).outlineStyle === "none";
      }).map((element) => element.outerHTML);
    })()`);
    expect(unseen).toEqual([]);
    await page.locator(".ranking th button").first().focus();
    await page.keyboard.press("Enter");
    await eventually(() => page.locator(".legend button").count()).toBe(2);
    // Live updates must not take the focus away.
    expect(await page.evaluate("document.activeElement.getAttribute('aria-pressed')")).toBe("true");
    await page.keyboard.press("/");
    expect(await page.evaluate("document.activeElement.type")).toBe("search");
    await page.keyboard.type("?");
    expect(await page.getByRole("dialog").count()).toBe(0);
    await page.getByRole("button", { name: "Pause" }).focus();
    await page.keyboard.press("?");
    await page.getByLabel("Single-key shortcuts").uncheck();
    await page.keyboard.press("Escape");
    await page.keyboard.press("p");
    expect(await page.getByRole("button", { name: "Pause" }).getAttribute("aria-pressed")).toBe("false");
  });
});

async function check(page: Page, name: string, part?: string): Promise<void> {
  await screenshot(page, name);
  await checkAccess(page, part);
}
