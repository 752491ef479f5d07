import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Tallymark } from "../../src/client/index.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { chromiumPath, launchChromium } from "../support/chromium.ts";

interface Window {
  client: Tallymark;
  shown: unknown[];
}
declare const window: Window & { TallymarkClient: { Tallymark: typeof Tallymark } };
declare const location: { origin: string };

let app: TestApp;
let browser: Browser;
let script: string;

beforeAll(async () => {
  if (!chromiumPath) return;
  const { outputFiles } = await build({
    entryPoints: ["src/client/index.ts"],
    bundle: true,
    platform: "browser",
    format: "iife",
    globalName: "TallymarkClient",
    write: false,
  });
  script = outputFiles[0]?.text ?? "";
  app = await startTestApp([{ name: "all", event: "*", by: ["type"], windows: ["1h"] }]);
  browser = await launchChromium();
});

afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

/** A page of the service's own address with a client in it. */
async function openPage(options: { batchDelayMs: number }): Promise<Page> {
  const page = await browser.newPage();
  // The service's own page: its answers that are data let nothing connect, and a made-up page is of no network.
  await page.goto(app.url);
  await page.evaluate(`${script}; window.TallymarkClient = TallymarkClient;`);
  await page.evaluate((given) => {
    window.client = new window.TallymarkClient.Tallymark({ url: location.origin, ...given });
  }, options);
  return page;
}

async function counted(type: string): Promise<number> {
  await app.call("POST", "/v1/events?wait=applied", { type: "marker" });
  return (await app.call("GET", `/v1/counters/all/value?last=2h&key=${type}`)).body.count;
}

test.skipIf(!chromiumPath)("a page sends, looks up and follows", async () => {
  const page = await openPage({ batchDelayMs: 5 });
  const shown = await page.evaluate(async () => {
    const { client } = window;
    for (let i = 0; i < 3; i++) client.track({ type: "browser" });
    await client.flush();
    return new Promise<unknown>((resolve) => {
      client.subscribe(
        { feed: "value", counter: "all", key: ["browser"], last: "1h" },
        { onData: (data) => data.count === 3 && resolve(data) },
      );
    });
  });
  expect(shown).toMatchObject({ counter: "all", key: ["browser"], count: 3 });
  await page.close();
});

test.skipIf(!chromiumPath)("what waits when a page is left is sent all the same, once", async () => {
  const page = await openPage({ batchDelayMs: 3_600_000 });
  await page.evaluate(() => {
    for (let i = 0; i < 100; i++) window.client.track({ type: "left" });
  });
  expect(await counted("left")).toBe(0);
  await page.goto("about:blank");
  await expect.poll(() => counted("left"), { timeout: 10_000 }).toBe(100);
  await page.close();
});

test.skipIf(!chromiumPath)("a page that is hidden with more than fits sends the rest when there is time", async () => {
  const page = await openPage({ batchDelayMs: 3_600_000 });
  const stats = await page.evaluate(async () => {
    const { client } = window;
    for (let i = 0; i < 200; i++) client.track({ type: "hidden", data: { text: "x".repeat(1_000) } });
    const { document, Event } = globalThis as unknown as {
      document: { dispatchEvent(event: object): void };
      Event: new (type: string) => object;
    };
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    document.dispatchEvent(new Event("visibilitychange"));
    while (client.stats.acknowledged === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const afterwards = client.stats;
    await client.flush();
    return [afterwards, client.stats] as const;
  });
  // 60 KiB of events of a little more than 1 KB.
  expect(stats[0].acknowledged).toBeGreaterThan(45);
  expect(stats[0].acknowledged).toBeLessThan(60);
  expect(stats[1]).toMatchObject({ acknowledged: 200, queued: 0, dropped: 0, retries: 0 });
  expect(await counted("hidden")).toBe(200);
  await page.close();
});
