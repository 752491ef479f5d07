import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const page = read("docs/hazards.md");
const sections = page.split(/^## /m).slice(1);
const NAMED = /`(test\/[\w./-]+\.test\.ts)`: "([^"]+)"/g;

/** Every string literal of a source that could be the name of a test. */
const texts = (source: string) => new Set([...source.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map(([, text]) => text));

describe.each(sections.map((text) => ({ hazard: text.split("\n", 1)[0] as string, text })))("$hazard", ({ text }) => {
  test("has a test, and something that turns it red", () => {
    expect(text).toMatch(/^- `test\//m);
    expect(text).toMatch(/^- turned red by: /m);
  });

  test.each([...text.matchAll(NAMED)].map(([, file, name]) => ({ file: file as string, name: name as string })))(
    "$file has: $name",
    ({ file, name }) => {
      expect(texts(read(file)).has(name)).toBe(true);
    },
  );
});

test("every list item names a test or says what turns one red", () => {
  const items = page.split("\n").filter((line) => line.startsWith("- "));
  expect(items.filter((item) => !item.startsWith("- turned red by: ") && !item.match(NAMED))).toEqual([]);
});
