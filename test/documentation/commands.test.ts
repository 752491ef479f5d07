import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Receiver } from "../alerts/receiver.ts";
import { startTestApp, type TestApp } from "../support/app.ts";

/** Every `curl` command of the documentation runs as it stands, and answers what the page shows behind it. */

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SERVICE = "http://127.0.0.1:8080";
/** A feed has no end; so long is listened to, s. */
const FEED_S = 2;
const CURL_TIMED_OUT = 28;

interface Command {
  readonly text: string;
  /** The JSON behind the command's block, where there is some. */
  readonly answer: unknown;
}

/** README first: others use the counter it makes. */
const pages = ["README.md", ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)]
  .filter((page) => page.endsWith(".md"))
  .map((page) => ({ page, commands: commandsOf(readFileSync(join(ROOT, page), "utf8")) }))
  .filter(({ commands }) => commands.length > 0);

function commandsOf(text: string): Command[] {
  const blocks = text.matchAll(/```(?:sh)?\n((?:curl|#)[\s\S]*?)```(?:\n\n```json\n([\s\S]*?)```)?/g);
  return [...blocks].flatMap(([, block = "", answer]) => {
    // A command goes on after a backslash, and within quotes.
    const found = [...block.matchAll(/^curl (?:\\\n|'[^']*'|[^'\n])*/gm)].filter(([one]) => one.includes(SERVICE));
    return found.map(([one], i) => ({
      text: one,
      answer: answer && i === found.length - 1 ? JSON.parse(answer) : undefined,
    }));
  });
}

let app: TestApp;
let receiver: Receiver;
/** What pages write for an id that the reader has. */
const placeholders: Record<string, string> = {};

beforeAll(async () => {
  receiver = await Receiver.start();
  app = await startTestApp(null, { TALLYMARK_WEBHOOK_ALLOW_PRIVATE: "1" });
});
afterAll(async () => {
  await app?.stop();
  await receiver?.stop();
});

function run(command: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const text = command
    .replaceAll(SERVICE, app.url)
    .replace(/\b(ID|EVENT)\b/g, (name) => placeholders[name] ?? name)
    .replace(/^curl/, `curl -sS --fail-with-body --max-time ${command.startsWith("curl -N") ? FEED_S : 20}`);
  return new Promise((resolve) => {
    execFile("sh", ["-c", text], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

/** Names and types, whatever the values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (value === null || typeof value !== "object") return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, held]) => [name, shapeOf(held)]));
}

/** An alert that has fired and told its receiver, for commands on one. */
async function fireAlert(): Promise<void> {
  await app.call("POST", "/v1/events?wait=applied", { type: "purchase", subject: "/shop" });
  const rule = { name: "r", counter: "sales", last: "1h", op: ">", threshold: 0, webhook: { url: receiver.url } };
  const { body } = await app.call("POST", "/v1/alerts", rule);
  placeholders.ID = body.id;
  const firing = async () => {
    const { events } = (await app.call("GET", `/v1/alerts/${body.id}/events`)).body;
    return events[0]?.delivery.outcome === "delivered" && events[0];
  };
  placeholders.EVENT = (await vi.waitUntil(firing, { timeout: 20_000, interval: 100 })).id;
}

describe.each(pages)("$page", ({ page, commands }) => {
  beforeAll(async () => {
    if (page !== "README.md" && !placeholders.ID) await fireAlert();
  });

  test.each(commands)("$text", async ({ text, answer }) => {
    const { code, stdout, stderr } = await run(text);
    if (text.startsWith("curl -N"))
      expect([code, stdout]).toEqual([CURL_TIMED_OUT, expect.stringMatching(/^event: /m)]);
    else expect({ code, stdout, stderr }).toMatchObject({ code: 0, stderr: "" });
    if (answer !== undefined) expect(shapeOf(JSON.parse(stdout))).toEqual(shapeOf(answer));
  });
});

test("the pages have their commands", () => {
  expect(pages.map(({ page }) => page)).toEqual(
    expect.arrayContaining(["README.md", "docs/alerts.md", "docs/live.md"]),
  );
  expect(pages.flatMap(({ commands }) => commands).length).toBeGreaterThanOrEqual(12);
});
