import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";

export interface OpenPage {
  readonly page: Page;
  /** What the page's console, its scripts and its policy complained about. */
  readonly faults: string[];
}

/** A page in a profile of its own. */
export async function open(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const context = await browser.newContext({ locale: "en-GB", viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  // So that a test says what it waited for before its own time is up.
  page.setDefaultTimeout(20_000);
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.text().startsWith("policy:")) faults.push(message.text());
    else if (message.type() === "error") faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (v) => console.log('policy: ' + v.violatedDirective + ' ' + v.blockedURI))",
  );
  await page.goto(url);
  return { page, faults };
}

/** Pages that nobody looks at any more would go on following. */
export const closePages = (browser: Browser) => Promise.all(browser.contexts().map((context) => context.close()));

/** Asks again until it is so: numbers come when they come. */
export const eventually = <Value>(read: () => Value | Promise<Value>) =>
  expect.poll(read, { timeout: 20_000, interval: 100 });

/** The cells of a table, row by row, as text; the header first. */
export function readTable(page: Page, selector: string): Promise<string[][]> {
  return page
    .locator(`${selector} tr`)
    .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => (cell.textContent ?? "").trim())));
}

let directory: Promise<string> | null = null;

/** Keeps a picture in `TALLYMARK_SCREENSHOTS`, else in a temporary directory. */
export async function screenshot(page: Page, name: string): Promise<void> {
  directory ??= prepare(process.env.TALLYMARK_SCREENSHOTS);
  await page.screenshot({ path: join(await directory, `${name}.png`), fullPage: true });
}

async function prepare(chosen: string | undefined): Promise<string> {
  if (!chosen) return mkdtemp(join(tmpdir(), "tallymark-screenshots-"));
  await mkdir(chosen, { recursive: true });
  return chosen;
}
