import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StartupError } from "../../../src/core/errors.ts";
import { locateRedis } from "../../../src/redis/embedded/locate.ts";
import { borrow, programs, temporaryDirectory } from "./helpers.ts";

/** Stands in for apt-get: "downloads" one package, whose content the stand-in for dpkg makes up. */
const APT_GET = `
for argument; do case "$argument" in Dir::Cache=*) cache="\${argument#Dir::Cache=}";; esac; done
case " $* " in *" install "*) touch "$cache/archives/redis-tools_7.deb";; esac`;
const serverSaying = (script: string) => `
mkdir -p "$3/usr/bin" "$3/usr/lib/some-arch"
touch "$3/usr/lib/some-arch/liblzf.so.1"
printf '#!/bin/sh\\n${script}\\n' > "$3/usr/bin/redis-check-rdb"
chmod 755 "$3/usr/bin/redis-check-rdb"`;
const GOOD_SERVER = serverSaying("echo Redis server v=7.0.15 sha=0");

test("with apt-get, a private copy is fetched once and found again without it", async ({ skip }) => {
  const path = await programs({});
  if (!(await borrow("apt-get", path)) || !(await borrow("dpkg", path))) skip("this system has no apt-get");
  // A space, since a home directory may have one.
  const cacheDir = join(await temporaryDirectory(), "the cache");
  const messages: string[] = [];
  const fetched = await locateRedis({ path, cacheDir, log: (message) => messages.push(message) });
  expect(Number.parseInt(fetched.version, 10)).toBeGreaterThanOrEqual(7);
  expect(messages).toEqual([expect.stringContaining("fetching"), `fetched Redis ${fetched.version}`]);
  expect((await readdir(cacheDir)).sort()).toEqual(["redis", expect.stringMatching(/^redis-\w{6}$/)]);
  expect(await locateRedis({ path: await programs({}), cacheDir })).toEqual(fetched);
});

test("two that fetch at once end with the same copy, which works, and leave nothing else", async () => {
  const path = await programs({ "apt-get": APT_GET, dpkg: GOOD_SERVER });
  const cacheDir = await temporaryDirectory();
  const found = await Promise.all([1, 2, 3].map(() => locateRedis({ path, cacheDir })));
  expect(new Set(found.map((binary) => binary.command))).toEqual(new Set([join(cacheDir, "redis", "redis-server")]));
  const left = await readdir(cacheDir);
  expect(left).toContain("redis");
  expect(left.filter((name) => name !== "redis" && !/^redis-\w{6}$/.test(name))).toEqual([]);
  expect(await locateRedis({ path: "", cacheDir })).toEqual(found[0]);
});

test("a copy that no longer works is replaced", async () => {
  const path = await programs({ "apt-get": APT_GET, dpkg: GOOD_SERVER });
  const cacheDir = await temporaryDirectory();
  await locateRedis({ path, cacheDir });
  await writeFile(join(cacheDir, "redis", "redis-server"), "#!/bin/sh\nexit 1\n");
  expect((await locateRedis({ path, cacheDir })).version).toBe("7.0.15");
  expect(await readdir(cacheDir)).toHaveLength(2);
});

test("what apt-get says when it fails is passed on, and nothing is left", async () => {
  const apt = 'case " $* " in *" install "*) echo "E: Unable to locate package redis-tools" >&2; exit 100;; esac';
  const path = await programs({ "apt-get": apt, dpkg: GOOD_SERVER });
  const cacheDir = await temporaryDirectory();
  const failure = await locateRedis({ path, cacheDir }).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StartupError);
  expect((failure as StartupError).message).toContain("E: Unable to locate package redis-tools");
  expect((failure as StartupError).message).toContain("brew install redis");
  expect(await readdir(cacheDir)).toEqual([]);
});

test("a fetched server that does not run or is too old is not kept", async () => {
  const missing = serverSaying("echo libssl.so.9: cannot open shared object file >&2; exit 127");
  const old = serverSaying("echo Redis server v=6.0.16 sha=0");
  const cacheDir = await temporaryDirectory();
  for (const [dpkg, reason] of [
    [missing, "libssl.so.9: cannot open shared object file"],
    [old, "version 6.0.16"],
  ] as const) {
    const path = await programs({ "apt-get": APT_GET, dpkg });
    await expect(locateRedis({ path, cacheDir })).rejects.toThrow(reason);
    expect(await readdir(cacheDir)).toEqual([]);
  }
});

test("a cache directory that cannot be made is named", async () => {
  const path = await programs({ "apt-get": APT_GET, dpkg: GOOD_SERVER });
  const file = join(await temporaryDirectory(), "file");
  await writeFile(file, "");
  await expect(locateRedis({ path, cacheDir: join(file, "cache") })).rejects.toThrow(/ENOTDIR/);
  await rm(file);
});
