import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";
import { browserNote, chromiumPath, launchChromium } from "../support/chromium.ts";
import { closePages, eventually, open, readTable } from "./browser.ts";

const MINUTE = 60_000;
/** Alerts hide where the service has none; a browser reports the 404 on its own. */
const notOfAlerts = (fault: string) => !fault.endsWith("/v1/alerts");
const HOSTILE = "<img src=x onerror=\"document.title='owned'\">";

describe.skipIf(!chromiumPath)(`the page${browserNote}`, () => {
  let app: TestApp;
  let browser: Browser;
  beforeAll(async () => {
    app = await startTestApp([
      {
        name: "views",
        event: "view",
        by: ["subject"],
        unique: "data.who",
        sum: "data.amount",
        windows: ["10s", "1m", "1h"],
      },
      { name: "moves", event: "move", by: ["subject"], windows: ["10s", "1m", "1h"] },
    ]);
    browser = await launchChromium();
  });
  afterEach(async () => {
    await closePages(browser);
  });
  afterAll(async () => {
    await browser?.close();
    await app?.stop();
  });

  const send = async (events: object[]) => {
    const { status, body } = await app.call("POST", "/v1/events?wait=applied", events);
    expect([status, body.applied]).toEqual([200, events.length]);
  };
  const view = (subject: string, data: object = {}) => ({ type: "view", subject, time: Date.now() - MINUTE, data });
  const headline = (page: Page, name: string) =>
    page.locator(".headline div", { has: page.locator("dt", { hasText: name }) }).locator("dd");
  const keyCells = async (page: Page) => (await readTable(page, ".ranking table")).slice(1).map(([, , key]) => key);

  test("without events it says how to send the first, and shows it when it has come", async () => {
    const { page, faults } = await open(browser, app.url);
    await page.getByRole("heading", { name: "No event yet" }).waitFor();
    expect(await page.locator("pre").first().textContent()).toContain(`'${app.url}/v1/events?wait=applied'`);
    await send([view("/", { who: "a", amount: 1.5 })]);
    await page.getByRole("heading", { name: "views" }).waitFor();
    expect(await page.getByRole("heading", { name: "No event yet" }).count()).toBe(0);
    expect(faults.filter(notOfAlerts)).toEqual([]);
  });

  test("its table, headline and description tell what the API tells, and follow it", async () => {
    const { page } = await open(browser, `${app.url}/?last=5m&show=views&window=1m`);
    await send([view("/a", { who: "b", amount: 2 }), view("/a", { who: "c" }), view("/b", { who: "b" })]);
    await eventually(() => headline(page, "Count").textContent()).toBe("4");
    await page.getByText("Numbers as a table").click();
    const { body } = await app.call("GET", "/v1/counters/views/series?last=5m&window=1m");
    const [head, ...rows] = await readTable(page, ".numbers table");
    expect(head).toEqual(["Bucket", "total", "State"]);
    expect(rows.map(([, count, state]) => [Number(count), state === "final"]).reverse()).toEqual(
      body.buckets.map(({ count, final }: { count: number; final: boolean }) => [count, final]),
    );
    expect(await headline(page, "Unique").textContent()).toBe("3");
    expect(await headline(page, "Sum").textContent()).toBe("3.5");
    const description = await page.getByRole("img", { name: /^views: count per minute/ }).getAttribute("aria-label");
    expect(description).toContain(`over the last 5 minutes. total: latest ${body.buckets.at(-1).count}, highest `);
    expect(description).toContain(`${rows.length} of ${rows.length} buckets are still open`);
  });

  test("numbers beyond a double keep every digit, in the viewer's own notation", async () => {
    const huge = { type: "view", subject: "/huge", time: Date.now() - 2 * MINUTE };
    const amounts = [9_000_000_000, 9_000_000_000, 0.000001];
    await send(amounts.map((amount) => ({ ...huge, data: { amount } })));
    const { page } = await open(browser, `${app.url}/?show=views&measure=sum`, { locale: "de-DE" });
    await eventually(() => headline(page, "Sum").textContent()).toBe("18.000.000.003,500001");
    await eventually(() => keyCells(page)).toContain("/huge");
    const [, row] = await readTable(page, ".ranking table");
    expect(row?.[3]).toBe("18.000.000.000,000001");
  });

  test("keys are text, never markup", async () => {
    await send([view(HOSTILE), view(HOSTILE), view("")]);
    const { page, faults } = await open(
      browser,
      `${app.url}/?show=views&key=${encodeURIComponent(JSON.stringify([HOSTILE]))}`,
    );
    await eventually(() => keyCells(page)).toContain(HOSTILE);
    expect(await keyCells(page)).toContain("(empty)");
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.title()).toBe("Tallymark");
    expect(faults.filter(notOfAlerts)).toEqual([]);
    // The watch over the policy would have seen it.
    await page.evaluate("document.body.append(Object.assign(document.createElement('script'), { text: '1' }))");
    await eventually(() => faults.some((fault) => fault.startsWith("policy: script-src"))).toBe(true);
  });

  test("the ranking tells how keys moved since the span before, and moves with new events", async () => {
    const now = Date.now();
    const moves = (subject: string, times: number, minutesAgo: number) =>
      Array.from({ length: times }, () => ({ type: "move", subject, time: now - minutesAgo * MINUTE }));
    await send([...moves("a", 4, 7.5), ...moves("b", 3, 7.5), ...moves("c", 2, 7.5)]);
    await send([...moves("b", 4, 1), ...moves("a", 3, 1), ...moves("d", 2, 1), ...moves("c", 1, 1)]);
    const { page } = await open(browser, `${app.url}/?last=5m&show=moves`);
    const ranking = async () =>
      (await readTable(page, ".ranking table")).slice(1).map(([place, move, key, count]) => [place, move, key, count]);
    await eventually(ranking).toEqual([
      ["1", "▲up 1", "b", "4"],
      ["2", "▼down 1", "a", "3"],
      ["3", "new", "d", "2"],
      ["4", "▼down 1", "c", "1"],
    ]);
    expect(await page.locator(".ranking caption").textContent()).toContain("moves against the 5 minutes before");
    await send(moves("d", 3, 1));
    await eventually(ranking).toEqual([
      ["1", "new", "d", "5"],
      ["2", "= unchanged", "b", "4"],
      ["3", "▼down 2", "a", "3"],
      ["4", "▼down 1", "c", "1"],
    ]);
    const course = page.locator('.ranking tr:has(button:text-is("d"))').getByRole("img");
    // The latest bucket is that of the events, or a later one as the clock goes on.
    await eventually(() => course.getAttribute("aria-label")).toMatch(/^latest [05], highest 5$/);
  });

  test("keys are searched for, compared, and kept in the address: back, forward and links restore them", async () => {
    const { page } = await open(browser, `${app.url}/?last=15m&show=views&window=1m`);
    const columns = async () => (await readTable(page, ".numbers table"))[0]?.slice(1, -1);
    await page.getByText("Numbers as a table").click();
    await page.getByLabel("Find keys: subject begins with").fill("/");
    await page.locator(".key-search").getByText("4 keys.").waitFor();
    await page.locator(".found").getByRole("button", { name: "/a", exact: true }).click();
    await eventually(columns).toEqual(["total", "/a"]);
    await page.locator(".found").getByRole("button", { name: "/b", exact: true }).click();
    await eventually(columns).toEqual(["total", "/a", "/b"]);
    await page.getByRole("button", { name: "total" }).click();
    await eventually(columns).toEqual(["/a", "/b"]);
    await page.getByLabel("Measure of views").selectOption("unique");
    await page.goBack();
    await page.goBack();
    await eventually(columns).toEqual(["total", "/a", "/b"]);
    await page.goForward();
    await page.goForward();
    await eventually(() => page.getByLabel("Measure of views").inputValue()).toBe("unique");

    const { page: other } = await open(browser, page.url());
    await other.getByText("Numbers as a table").click();
    await eventually(async () => (await readTable(other, ".numbers table"))[0]).toEqual([
      "Bucket",
      "/a",
      "/b",
      "State",
    ]);
    const sum = (await readTable(other, ".numbers table")).slice(1).reduce((total, [, a]) => total + Number(a), 0);
    expect(sum).toBe(2);
    expect(await other.getByLabel("Window of views").inputValue()).toBe("1m");
    expect(await other.getByLabel("Span").inputValue()).toBe("15m");
  });

  test("while it is paused nothing changes; the keyboard pauses and resumes", async () => {
    const { page: following } = await open(browser, `${app.url}/?show=views`);
    const { page: paused } = await open(browser, `${app.url}/?show=views`);
    await eventually(() => headline(paused, "Count").textContent()).toMatch(/\d/);
    const before = await headline(paused, "Count").textContent();
    await paused.keyboard.press("p");
    await paused.getByText("Paused").waitFor();
    expect(new URL(paused.url()).searchParams.get("paused")).toBe("1");
    await send([view("/late"), view("/late")]);
    const after = String(Number(before) + 2);
    await eventually(() => headline(following, "Count").textContent()).toBe(after);
    expect(await headline(paused, "Count").textContent()).toBe(before);
    await paused.keyboard.press("p");
    await eventually(() => headline(paused, "Count").textContent()).toBe(after);
  });

  test("the theme follows the system until one is chosen, which is remembered", async () => {
    const { page } = await open(browser, app.url, { colorScheme: "dark" });
    const ground = () => page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
    const dark = await ground();
    await page.getByRole("button", { name: "Use the light theme" }).click();
    const light = await ground();
    expect(light).not.toBe(dark);
    await page.reload();
    await page.getByRole("button", { name: "Use the dark theme" }).waitFor();
    expect(await ground()).toBe(light);
  });

  test("a counter that is not there, and a key that does not fit, are told", async () => {
    const { page } = await open(browser, `${app.url}/?show=nothing&show=views&key=["a","b"]`);
    await page.getByText("There is no counter “nothing” here.").waitFor();
    await page.getByText("key: give one value for each field").waitFor();
  });
});
