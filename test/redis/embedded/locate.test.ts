import { delimiter, join } from "node:path";
import { expect, test } from "vitest";
import { StartupError } from "../../../src/core/errors.ts";
import { locateRedis } from "../../../src/redis/embedded/locate.ts";
import { programs, temporaryDirectory } from "./helpers.ts";

const version = (text: string) => `echo "${text} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"`;

test("a redis-server of version 7 or later on the path is taken", async () => {
  const path = await programs({ "redis-server": version("Redis server v=7.2.4") });
  const binary = await locateRedis({ path, cacheDir: await temporaryDirectory() });
  expect(binary).toEqual({ command: join(path, "redis-server"), version: "7.2.4" });
});

test("a redis-server that is too old is skipped for a valkey-server", async () => {
  const path = await programs({
    "redis-server": version("Redis server v=6.0.16"),
    "valkey-server": version("Valkey server v=8.0.1"),
  });
  const binary = await locateRedis({ path, cacheDir: await temporaryDirectory() });
  expect(binary).toEqual({ command: join(path, "valkey-server"), version: "8.0.1" });
});

test("a redis-server is preferred to a valkey-server, and a later good one to an earlier bad one", async () => {
  const bad = await programs({ "redis-server": "exit 3", "valkey-server": version("Valkey server v=8.0.1") });
  const good = await programs({ "redis-server": version("Redis server v=8.2.0") });
  const binary = await locateRedis({ path: [bad, good].join(delimiter), cacheDir: await temporaryDirectory() });
  expect(binary.command).toBe(join(good, "redis-server"));
});

test("with nothing to run, the error tells what was tried and three ways out", async () => {
  const path = await programs({
    "redis-server": version("Redis server v=6.0.16"),
    "valkey-server": "echo garbage",
  });
  const failure = await locateRedis({ path, cacheDir: await temporaryDirectory() }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StartupError);
  const { message } = failure as StartupError;
  expect(message).toContain("version 6.0.16, and 7.0 is the oldest");
  expect(message).toContain("valkey-server: its --version is not that of a Redis or Valkey server");
  expect(message).toContain("needs apt-get and dpkg");
  expect(message).toContain("sudo apt-get install redis-server");
  expect(message).toContain("brew install redis");
  expect(message).toContain(
    "docker run -d -p 6379:6379 redis:7 --appendonly yes --maxmemory-policy noeviction && export REDIS_URL=redis://127.0.0.1:6379",
  );
});

test("a program that does not run is named with its reason", async () => {
  const path = await programs({ "redis-server": "echo 'libfoo.so.1: cannot open shared object file' >&2; exit 127" });
  await expect(locateRedis({ path, cacheDir: await temporaryDirectory() })).rejects.toThrow(
    /redis-server: --version failed: .*libfoo\.so\.1/,
  );
});
