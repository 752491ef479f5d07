import { lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { runTestExport } from "./sent.ts";
import { type ExportStub, startStub } from "./stub.ts";

let directory: string;
let stub: ExportStub;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tallymark-export-"));
  stub = await startStub({ keys: [[["a"], ["b"]]] });
  return () => rm(directory, { recursive: true });
});

test.each([
  [{ counter: "none" }, '--counter: there is no "none", only sales'],
  [{ window: "5m" }, "--window: must be one of 1m, 1h"],
  [{ from: "yesterday" }, "--from: must be RFC 3339"],
  [{ to: "tomorrow" }, "--to: must be RFC 3339"],
  [{ from: "10", to: "10" }, "--from: must be before --to"],
  [{ format: "xml" }, "--format: must be one of csv, ndjson, parquet"],
  [{ url: "nowhere" }, '--url: "nowhere" is not an http or https address'],
  [{ output: tmpdir() }, `--output: ${tmpdir()} is there and is no regular file`],
  [{ output: "/nowhere/sales.csv" }, "--output: ENOENT"],
])("%j is refused", async (options, message) => {
  await expect(runTestExport({ url: stub.url, ...options })).rejects.toThrow(message);
});

test("an export that fails leaves nothing behind, and the file of an earlier one as it was", async () => {
  const failing = await startStub({
    keys: [[["a"]]],
    result: () => ({ status: 400, detail: "this window is forgotten" }),
  });
  const output = join(directory, "sales.csv");
  const run = () => runTestExport({ url: failing.url, format: "csv", output });
  await expect(run()).rejects.toThrow("this window is forgotten");
  expect(await readdir(directory)).toEqual([]);
  await writeFile(output, "from yesterday");
  await expect(run()).rejects.toThrow("this window is forgotten");
  expect(await readdir(directory)).toEqual(["sales.csv"]);
  expect(await readFile(output, "utf8")).toBe("from yesterday");
});

test("a link to a file stays a link", async () => {
  const [link, file] = [join(directory, "link"), join(directory, "file")];
  await writeFile(file, "from yesterday");
  await symlink(file, link);
  await runTestExport({ url: stub.url, output: link });
  expect((await lstat(link)).isSymbolicLink()).toBe(true);
  expect((await readFile(file, "utf8")).split("\n")).toHaveLength(4);
});

test("an interrupt ends it without a file", async () => {
  const controller = new AbortController();
  const interrupting = await startStub({
    keys: [[["a"]]],
    result: () => {
      controller.abort();
      return {};
    },
  });
  const run = runTestExport({ url: interrupting.url, output: join(directory, "x") }, { signal: controller.signal });
  await expect(run).rejects.toThrow("interrupted");
  expect(await readdir(directory)).toEqual([]);
});
