import axe from "axe-core";
import type { Page } from "playwright-core";
import { expect } from "vitest";

/** In a part of the page no rule of axe is broken, and nothing sticks out of the screen's side. */
export async function checkAccess(page: Page, part = "html"): Promise<void> {
  // The page's policy would refuse a script tag.
  await page.evaluate(axe.source);
  const { violations, passes } = (await page.evaluate(`axe.run(${JSON.stringify(part)})`)) as axe.AxeResults;
  expect(passes.length).toBeGreaterThan(5);
  expect(violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html)])).toEqual([]);
  expect(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")).toBe(0);
}
