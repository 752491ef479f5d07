import { readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StartupError } from "../../../src/core/errors.ts";
import { identityOf, isAlive } from "../../../src/redis/embedded/process-identity.ts";
import { client, start, temporaryDirectory, until } from "./helpers.ts";

async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartupError);
  return (error as StartupError).message;
}

test("data survives a stop and a start, and the settings are ours", async () => {
  const dataDir = await temporaryDirectory();
  const first = await start(dataDir, { durability: "everysec" });
  expect(Number.parseInt(first.version, 10)).toBeGreaterThanOrEqual(7);
  const connection = client(first);
  await connection.set("kept", "yes");
  for (const [setting, value] of [
    ["appendonly", "yes"],
    ["appendfsync", "everysec"],
    ["save", ""],
    ["maxmemory-policy", "noeviction"],
    ["set-max-intset-entries", "4096"],
    ["hash-max-listpack-entries", "128"],
    ["auto-aof-rewrite-min-size", String(64 * 1024 * 1024)],
    ["port", "0"],
  ] as const) {
    expect(await connection.config("GET", setting)).toEqual([setting, value]);
  }
  expect((await stat(join(dataDir, "redis"))).mode & 0o777).toBe(0o700);
  await Promise.all([first.stop(), first.stop()]);
  expect(isAlive(identityOf(first.pid))).toBe(false);
  expect(await client(await start(dataDir)).get("kept")).toBe("yes");
});

test("a second start on the same directory is refused and names the owner", async () => {
  const dataDir = await temporaryDirectory();
  const first = await start(dataDir);
  expect(await failure(start(dataDir))).toContain(`is in use by process ${process.pid}`);
  expect(await client(first).ping()).toBe("PONG");
});

test("a directory whose path is too long for a socket is served over a local port", async () => {
  const dataDir = join(await temporaryDirectory(), "long".repeat(30));
  const redis = await start(dataDir);
  expect(redis.address).toEqual({ host: "127.0.0.1", port: expect.any(Number) });
  const connection = client(redis);
  expect(await connection.set("a", "1")).toBe("OK");
  expect(await connection.config("GET", "protected-mode")).toEqual(["protected-mode", "yes"]);
});

test("a port that is taken is an error which says so, once others were tried", async () => {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  const port = typeof address === "object" && address !== null ? String(address.port) : "";
  const dataDir = await temporaryDirectory();
  expect(await failure(start(dataDir, { extraArgs: ["--port", port] }))).toContain("Address already in use");
  listener.close();
});

test("an end that nobody asked for is told, with the last of the log", async () => {
  const dataDir = await temporaryDirectory();
  const told: string[] = [];
  const redis = await start(dataDir, { onUnexpectedExit: (detail) => told.push(detail) });
  process.kill(redis.pid, "SIGKILL");
  await until("word of the end", () => told.length > 0);
  const [detail] = told;
  expect(detail).toContain(`process ${redis.pid}) was ended by SIGKILL`);
  expect(detail).toContain("ready to accept connections");
  await redis.stop();
  await start(dataDir);
});

test("a stop that was asked for is not unexpected", async () => {
  const told: string[] = [];
  const redis = await start(await temporaryDirectory(), { onUnexpectedExit: (detail) => told.push(detail) });
  await redis.stop();
  expect(told).toEqual([]);
});

test("a broken append-only file is an error with Redis's own words; once mended, the directory can be used", async () => {
  const dataDir = await temporaryDirectory();
  const first = await start(dataDir);
  await client(first).set("kept", "yes");
  await first.stop();
  const file = join(dataDir, "redis", "appendonlydir", "appendonly.aof.1.incr.aof");
  const content = await readFile(file);
  await writeFile(file, Buffer.concat([Buffer.from("nonsense\r\n"), content]));
  const message = await failure(start(dataDir));
  expect(message).toContain("Bad file format reading the append only file");
  const pid = Number(/^(\d+):M/m.exec(message)?.[1]);
  expect(isAlive(identityOf(pid))).toBe(false);
  await writeFile(file, content);
  expect(await client(await start(dataDir)).get("kept")).toBe("yes");
});

test("an argument that Redis does not know is an error with Redis's own words", async () => {
  const message = await failure(start(await temporaryDirectory(), { extraArgs: ["--no-such-setting", "1"] }));
  expect(message).toContain("FATAL CONFIG FILE ERROR");
  expect(message).toContain("no-such-setting");
});

test("a data directory that cannot be made is named", async () => {
  const file = join(await temporaryDirectory(), "file");
  await writeFile(file, "");
  expect(await failure(start(join(file, "data")))).toMatch(/cannot keep data in .*file\/data: ENOTDIR/);
});

test("a large log is set aside at the start", async () => {
  const dataDir = await temporaryDirectory();
  await (await start(dataDir)).stop();
  const log = join(dataDir, "redis", "redis.log");
  await writeFile(log, Buffer.alloc(11 * 1024 * 1024, "x"));
  await start(dataDir);
  expect((await stat(`${log}.1`)).size).toBe(11 * 1024 * 1024);
  expect((await stat(log)).size).toBeLessThan(100_000);
});

test("a start waits while Redis loads its data", async () => {
  const dataDir = await temporaryDirectory();
  const first = await start(dataDir);
  const connection = client(first);
  const written = Array.from({ length: 200 }, (_, n) => connection.set(`key:${n}`, "x".repeat(100 + n)));
  await Promise.all(written);
  // Only what is in the base file of the append-only file is delayed by the setting below.
  await connection.bgrewriteaof();
  await until("end of the rewrite", async () => /aof_base_size:\d{4}/.test(await connection.info("persistence")));
  await first.stop();
  const messages: string[] = [];
  const slow = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"];
  const second = await start(dataDir, { extraArgs: slow, log: (message) => messages.push(message) });
  expect(messages).toContain("Redis is loading its data");
  expect(await client(second).dbsize()).toBe(200);
});
