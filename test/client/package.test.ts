import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGE = await readFile(join(ROOT, "docs/client.md"), "utf8");

/** A project that has the package installed. */
let project: string;
let app: TestApp;

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "tallymark-user-"));
  await mkdir(join(project, "node_modules"));
  await symlink(ROOT, join(project, "node_modules/tallymark"));
  await writeFile(join(project, "package.json"), '{"type":"module"}');
  app = await startTestApp([JSON.parse(blocks("json")[0]?.text ?? "")]);
});

afterAll(async () => {
  await app.stop();
  await rm(project, { recursive: true });
});

/** Code blocks of the page, each with the output that the page shows behind it. */
function blocks(language: string) {
  const found = PAGE.matchAll(/```(\w+)\n([\s\S]*?)```(?:\n\n```text\n([\s\S]*?)```)?/g);
  return [...found].filter(([, name]) => name === language).map(([, , text = "", output]) => ({ text, output }));
}

const examples = blocks("js").map(({ text, output }, i) => ({ name: `example ${i + 1}`, text, output }));

test("the page has its examples", () => {
  expect(examples).toHaveLength(4);
});

test.each(examples)("docs/client.md, $name prints what the page says, and ends", async ({ name, text, output }) => {
  const file = join(project, `${name}.mjs`);
  await writeFile(file, text.replaceAll("http://127.0.0.1:8080", app.url));
  const { stdout, stderr } = await run(process.execPath, [file], { timeout: 30_000 });
  expect({ stdout, stderr }).toEqual({ stdout: output, stderr: "" });
});

test.each(["node20", "es2022"])("a bundle for browsers takes nothing of Node along (%s)", async (target) => {
  await writeFile(join(project, "page.js"), 'import { Tallymark } from "tallymark/client"; console.log(Tallymark);');
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: [join(project, "page.js")],
    bundle: true,
    platform: "browser",
    format: "esm",
    minify: true,
    target,
    write: false,
    metafile: true,
  });
  const text = outputFiles[0]?.text ?? "";
  expect(warnings).toEqual([]);
  expect(Object.values(metafile.outputs).flatMap(({ imports }) => imports)).toEqual([]);
  expect(Object.keys(metafile.inputs).filter((path) => !/dist\/client\/[a-z]+\.js$|page\.js$/.test(path))).toEqual([]);
  const names = [...builtinModules, "ws"].filter((name) => new RegExp(`["'\`](node:)?${name}["'\`]\\)`).test(text));
  expect(names).toEqual([]);
  // No more than the page says, and not much less.
  const [minified = 0, gzipped = 0] = /is (\d+) KB minified, (\d+) KB gzipped/.exec(PAGE)?.slice(1).map(Number) ?? [];
  expect(minified - text.length / 1_000).toBeGreaterThanOrEqual(0);
  expect(minified - text.length / 1_000).toBeLessThan(2);
  expect(gzipped - gzipSync(text, { level: 9 }).length / 1_000).toBeGreaterThanOrEqual(0);
  expect(gzipped - gzipSync(text, { level: 9 }).length / 1_000).toBeLessThan(2);
});

const RIGHT = `
import { type Drop, Tallymark, TallymarkError, type ValueAnswer } from "tallymark/client";
const client = new Tallymark({ url: "http://localhost", apiKey: "tm_x", onDrop: ({ reason }: Drop) => reason === "gave_up" });
const id: string = client.track({ type: "t", data: { n: 1, deep: { a: [true] } } });
const value: Promise<ValueAnswer> = client.value("c", { key: ["k"], from: 0, to: "2026-01-01T00:00:00Z" });
const [first, second] = await client.query([{ feed: "value", counter: "c" }, { feed: "top", counter: "c", limit: 3 }]);
if (!(first instanceof TallymarkError)) first.count;
if (!(second instanceof TallymarkError)) second.top[0]?.key[0]?.length;
for await (const key of client.keys("c", { prefix: "p" })) key.join();
client.subscribe({ feed: "series", counter: "c", window: "1m" }, { onData: ({ buckets }) => buckets.length });
client.subscribe({ feed: "stats", every: "1s" }, { onUpdate: ({ eventsPerSecond }) => eventsPerSecond.toFixed() });
const applied: number | undefined = (await client.send({ type: "t" }, { wait: "applied" })).applied;
console.log(id, value, applied);
`;
const WRONG = [
  "new Tallymark({});",
  'client.track({ subject: "no type" });',
  'client.top("c", { by: "unique" });',
  'client.subscribe({ feed: "values", counter: "c" }, {});',
  'client.subscribe({ feed: "top", counter: "c" }, { onData: ({ buckets }) => buckets });',
  'client.query([{ feed: "value" }]);',
];

test("a user's types: what is right passes, what is wrong is found", async () => {
  await writeFile(join(project, "right.ts"), RIGHT);
  const opening = 'import { Tallymark } from "tallymark/client";\nconst client = new Tallymark({ url: "" });\n';
  await writeFile(join(project, "wrong.ts"), opening + WRONG.join("\n"));
  const strict = { strict: true, exactOptionalPropertyTypes: true, module: "NodeNext", target: "ES2022", noEmit: true };
  const compilerOptions = { ...strict, lib: ["ES2022", "DOM"], types: [] };
  const config = JSON.stringify({ compilerOptions, files: ["right.ts", "wrong.ts"] });
  await writeFile(join(project, "tsconfig.json"), config);
  const { stdout } = await run(join(ROOT, "node_modules/.bin/tsc"), ["-p", project]).catch((failed) => failed);
  const found = [...stdout.matchAll(/(\w+)\.ts[(:](\d+)/g)].map(([, file, line]) => `${file}:${line}`);
  expect([...new Set(found)], stdout).toEqual(WRONG.map((_, i) => `wrong:${i + 3}`));
});
