import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PROBLEMS } from "../../src/core/problem.ts";

test("docs/errors.md lists every error as the code has it, and no other", () => {
  const page = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| (yes|no) \| (.+) \|$/gm)].map(
    ([, code, status, retryable, title]) => [code, { status: Number(status), title, retryable: retryable === "yes" }],
  );
  expect(Object.fromEntries(rows)).toEqual(PROBLEMS);
});
