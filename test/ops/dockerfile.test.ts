import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readProjectFile } from "../support/compose.ts";
import { freePort } from "../support/ports.ts";

/** There is no Docker here: what the Dockerfile says is done by plain commands, in directories for its stages. */

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

interface Step {
  readonly instruction: string;
  readonly text: string;
}

const steps: readonly Step[] = readProjectFile("Dockerfile")
  .split("\n")
  .filter((line) => line.trim() !== "" && !line.startsWith("#"))
  .map((line) => ({ instruction: line.split(" ", 1)[0] as string, text: line.slice(line.indexOf(" ") + 1) }));

/** Paths that the build may see, by .dockerignore, which forbids all and allows some. */
const context = readProjectFile(".dockerignore")
  .split("\n")
  .flatMap((line) => (line.startsWith("!") ? [line.slice(1)] : []));

/** It installs from the registry, as an image's build does; tests otherwise need no network. */
const isAsked = process.env.TALLYMARK_TEST_DOCKERFILE === "1";

let directory: string;
/** Directory of the last stage's /app. */
let image: string;
const env: Record<string, string> = {};
const last = (instruction: string) => steps.findLast((step) => step.instruction === instruction)?.text ?? "";

/** `/app/x` of a stage → the directory that stands for it. */
const within = (stage: string, path: string) => join(directory, stage, path.replace(/^\/app\/?/, ""));

beforeAll(async () => {
  if (!isAsked) return;
  directory = await mkdtemp(join(tmpdir(), "tallymark-image-"));
  let stage = "";
  for (const { instruction, text } of steps) {
    if (instruction === "FROM") {
      stage = text.split(" AS ")[1] ?? "image";
      await mkdir(within(stage, ""), { recursive: true });
    }
    if (instruction === "COPY") await copy(stage, text.split(" "));
    if (instruction === "ENV") env[text.split("=")[0] as string] = text.slice(text.indexOf("=") + 1);
    // What the last stage runs makes its user's directory, which nobody but root could.
    if (instruction === "RUN" && stage === "build") await run("sh", ["-c", text], { cwd: within(stage, "") });
  }
  image = within(stage, "");
}, 600_000);
afterAll(async () => {
  if (isAsked) await rm(directory, { recursive: true, force: true });
});

async function copy(stage: string, words: readonly string[]): Promise<void> {
  const from = words[0]?.startsWith("--from=") ? words[0].slice("--from=".length) : null;
  const [target, ...sources] = words.slice(from ? 1 : 0).toReversed();
  for (const source of sources) {
    if (!from) expect(context, "paths that .dockerignore lets through").toContain(source);
    const origin = from ? within(from, source) : join(PROJECT, source);
    // A directory is copied as its content, a file into the target.
    const name = (target as string).endsWith("/") ? join(target as string, source.split("/").at(-1) as string) : target;
    await cp(origin, join(within(stage, ""), name as string), { recursive: true, verbatimSymlinks: true });
  }
}

/** `["a", "b"]` of an exec form. */
const words = (text: string): string[] => JSON.parse(text.slice(text.indexOf("[")));

test("it runs as somebody who may do nothing", () => {
  expect(last("USER")).toBe("node");
  expect(steps.findIndex(({ instruction }) => instruction === "USER")).toBeLessThan(
    steps.findIndex(({ instruction }) => instruction === "ENTRYPOINT"),
  );
});

test.skipIf(!isAsked)(
  "what the image holds starts, answers its health check, and stops on SIGTERM",
  { timeout: 120_000 },
  async () => {
    const port = await freePort();
    const data = join(directory, "data");
    const [program, ...args] = [...words(last("ENTRYPOINT")), ...words(last("CMD"))] as [string, ...string[]];
    const child = spawn(program, [...args, "--insecure"], {
      cwd: image,
      env: { ...process.env, ...env, TALLYMARK_PORT: String(port), TALLYMARK_DATA_DIR: data },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const check = async () => {
      const [node, ...rest] = words(last("HEALTHCHECK")).map((word) => word.replace("8080", String(port)));
      return run(node as string, rest).then(
        () => 0,
        ({ code }) => code,
      );
    };
    try {
      expect(await check()).toBe(1);
      await once(child.stdout, "data");
      expect(await check()).toBe(0);
      const url = `http://127.0.0.1:${port}`;
      const body = JSON.stringify({ id: "1", type: "t" });
      const headers = { "content-type": "application/json" };
      const sent = await fetch(`${url}/v1/events?wait=applied`, { method: "POST", body, headers });
      expect(await sent.json()).toMatchObject({ applied: 1 });
      const page = await fetch(url);
      expect([page.status, page.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/html")]);
    } finally {
      child.kill("SIGTERM");
    }
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
  },
);

test.skipIf(!isAsked)("nothing that only developers need is in it", async () => {
  const { stdout } = await run("ls", [join(image, "node_modules")]);
  const installed = stdout.split("\n");
  expect(installed).toContain("fastify");
  for (const name of ["vitest", "typescript", "esbuild", "playwright-core"]) expect(installed).not.toContain(name);
});
