import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { call } from "../support/app.ts";
import { browserNote, chromiumPath, launchChromium } from "../support/chromium.ts";
import { freePort } from "../support/ports.ts";
import { TcpProxy } from "../support/proxy.ts";
import { removeTemporaryDirectories, type Service, startService } from "../support/service.ts";
import { closePages, eventually, open } from "./browser.ts";

describe.skipIf(!chromiumPath)(`an outage${browserNote}`, () => {
  let browser: Browser;
  let service: Service;
  let port: number;
  const start = async (dataDir?: string) => {
    service = await startService({ env: { TALLYMARK_PORT: String(port) }, ...(dataDir && { dataDir }) });
  };
  beforeAll(async () => {
    browser = await launchChromium();
    port = await freePort();
    await start();
    await send(3);
  });
  afterEach(async () => {
    await closePages(browser);
  });
  afterAll(async () => {
    await browser?.close();
    await service?.stop();
    await removeTemporaryDirectories();
  });

  const send = async (count: number) => {
    const events = Array.from({ length: count }, () => ({ type: "view" }));
    const { body } = await call(service.url, "POST", "/v1/events?wait=applied", events);
    expect(body.applied).toBe(count);
  };

  test("the service is killed and comes back: the page says so, tells the numbers' age, and goes on", async () => {
    const { page } = await open(browser, `${service.url}/?last=5m`);
    const state = page.locator(".connection");
    const count = page.locator(".headline dd").first();
    await eventually(() => count.textContent()).toBe("3");
    await eventually(() => state.textContent()).toBe("Live");
    await service.kill();
    await eventually(() => state.textContent()).toMatch(/^Reconnectingnumbers are \d+ s old$/);
    // What was shown stays in sight.
    expect(await count.textContent()).toBe("3");
    await start(service.dataDir);
    await eventually(() => state.textContent()).toBe("Live");
    await send(2);
    await eventually(() => count.textContent()).toBe("5");
  });

  test("a network that stands still shows in the age of the numbers; a cut one is got over", async () => {
    const proxy = await TcpProxy.start({ host: "127.0.0.1", port });
    const { page } = await open(browser, `http://127.0.0.1:${proxy.port}/?last=5m`);
    const state = page.locator(".connection");
    await eventually(() => page.locator(".headline dd").first().textContent()).toMatch(/\d/);
    proxy.frozen = true;
    await eventually(() => state.textContent()).toMatch(/^Livenumbers are \d+ s old$/);
    proxy.frozen = false;
    await eventually(() => state.textContent()).toBe("Live");
    // In place before the network is cut: whoever only starts to observe then may miss the first change.
    await page.evaluate(`void (window.states = new Promise((resolve) => {
      const seen = [];
      const state = document.querySelector(".connection [role=status]");
      new MutationObserver(() => {
        seen.push(state.textContent);
        if (seen.includes("Reconnecting") && state.textContent === "Live") resolve(seen);
      }).observe(state, { characterData: true, childList: true, subtree: true });
    }))`);
    proxy.cut();
    expect(await page.evaluate("window.states")).toEqual(["Reconnecting", "Live"]);
    await send(1);
    await eventually(() => page.locator(".headline dd").first().textContent()).toMatch(/^[46]$/);
    await proxy.stop();
  });
});
