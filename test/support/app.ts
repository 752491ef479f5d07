import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApp } from "../../src/app.ts";
import { type ConfigSources, loadConfig } from "../../src/config.ts";
import type { CounterDefinition, CounterInput } from "../../src/core/counter.ts";
import { parseCounter } from "../../src/core/counter-parse.ts";
import { createLogger } from "../../src/log.ts";

export interface TestApp {
  readonly url: string;
  readonly dataDir: string;
  /** Sends a request and reads its JSON answer, if it has one. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  stop(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape, and expect() checks them
  readonly body: any;
}

/** The whole service in this process, on an embedded Redis of its own. */
export async function startTestApp(
  counters: readonly CounterInput[] | null,
  env: ConfigSources["env"] = {},
): Promise<TestApp> {
  const dataDir = await mkdtemp(join(tmpdir(), "tallymark-app-"));
  const config = loadConfig({ env: { TALLYMARK_PORT: "0", TALLYMARK_DATA_DIR: dataDir, ...env } });
  const definitions = counters?.map((counter) => parseCounter(counter) as CounterDefinition) ?? null;
  const app = await startApp({ ...config, counters: definitions }, createLogger("silent"), () => {});
  return {
    url: app.url,
    dataDir,
    call: (...request) => call(app.url, ...request),
    stop: async () => {
      await app.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Sends a request to a service and reads its answer. */
export async function call(
  url: string,
  ...[method, path, body, headers]: Parameters<TestApp["call"]>
): Promise<Answer> {
  const isRaw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(url + path, {
    method,
    body: isRaw ? (body as string | undefined) : JSON.stringify(body),
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
  } as RequestInit);
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.includes("json");
  return { status: response.status, headers: response.headers, body: isJson && text ? JSON.parse(text) : text };
}
