import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { onTestFinished } from "vitest";
import type { CliIo, Clock } from "../../src/cli/replay/io.ts";

/** A clock on which waiting takes no time. */
export class FakeClock implements Clock {
  time = Date.parse("2024-05-01T12:00:00Z");
  readonly sleeps: number[] = [];

  now(): number {
    return this.time;
  }

  async sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.sleeps.push(ms);
    this.time += ms;
  }
}

export interface TestIo extends CliIo {
  readonly clock: FakeClock;
  readonly written: { out: string; err: string };
}

export function testIo(overrides: Partial<CliIo> & { stdinBytes?: Buffer; isTTY?: boolean } = {}): TestIo {
  const written = { out: "", err: "" };
  const stderr = Object.assign(new PassThrough(), { isTTY: overrides.isTTY ?? false });
  stderr.on("data", (chunk) => {
    written.err += chunk;
  });
  return {
    stdin: Readable.from(overrides.stdinBytes ? [overrides.stdinBytes] : []),
    stdout: {
      write: (text) => {
        written.out += text;
      },
    },
    stderr,
    fetch,
    signal: new AbortController().signal,
    ...overrides,
    clock: (overrides.clock as FakeClock | undefined) ?? new FakeClock(),
    written,
  };
}

export async function temporaryFile(content: string | Buffer, name = "events.ndjson"): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-cli-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, name);
  await writeFile(file, content);
  return file;
}

/** Starts a server that ends with the test. */
export async function serve(handler: (request: IncomingMessage, body: string, response: ServerResponse) => void) {
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => handler(request, Buffer.concat(chunks).toString(), response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** An event line; `n` makes id and time. */
export function eventLine(n: number, fields: Record<string, unknown> = {}): string {
  return JSON.stringify({ id: `e${n}`, type: "t", time: 1_700_000_000_000 + n, ...fields });
}
