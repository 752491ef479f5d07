import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll } from "vitest";
import type { Scope } from "../../src/core/api-key.ts";
import type { CounterInput } from "../../src/core/counter.ts";
import { freePort } from "../support/ports.ts";
import { end, spawnRedis } from "../support/redis-process.ts";

export const newKey = (): string => `tm_${randomBytes(32).toString("base64url")}`;

export const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

export const VIEWS: CounterInput = { name: "views", event: "view", by: ["subject"], windows: ["1m", "1h"] };

export interface SharedRedis {
  readonly url: string;
  readonly client: Redis;
  stop(): Promise<void>;
}

/** A Redis that several services share. */
export async function startSharedRedis(): Promise<SharedRedis> {
  const [port, dir] = [await freePort(), await temporaryDirectory()];
  const child = await spawnRedis([], { port, dir });
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url);
  client.on("error", () => undefined); // until it listens
  await client.ping();
  const stop = async () => {
    client.disconnect();
    await end(child);
  };
  return { url, client, stop };
}

const directories: string[] = [];
afterAll(() => Promise.all(directories.splice(0).map((directory) => rm(directory, { recursive: true }))));

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-access-"));
  directories.push(directory);
  return directory;
}

/** The path of a file of keys, which is there until the tests of the file have run. */
export async function keysFile(content: unknown): Promise<string> {
  const path = join(await temporaryDirectory(), "keys.json");
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

/** A file with one key for each set of scopes; the keys by those. */
export async function keysFor<const Names extends Record<string, readonly Scope[]>>(names: Names) {
  const keys = Object.fromEntries(Object.keys(names).map((name) => [name, newKey()])) as Record<keyof Names, string>;
  const entries = Object.entries(names).map(([name, scopes]) => ({ name, key: keys[name as keyof Names], scopes }));
  return { keys, path: await keysFile(entries) };
}
