import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ConfigSources, loadConfig } from "../src/config.ts";
import { ConfigurationError } from "../src/core/errors.ts";
import { parseRedisUrl } from "../src/redis/client.ts";

function faultsOf(sources: ConfigSources): readonly string[] {
  try {
    loadConfig(sources);
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.faults;
    throw error;
  }
}

function fileOf(content: unknown): string {
  const path = join(mkdtempSync(join(tmpdir(), "tallymark-config-")), "config.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

test("nothing given: everything in one process on an embedded Redis", () => {
  expect(loadConfig({ env: {} })).toMatchObject({
    host: "127.0.0.1",
    port: 8080,
    redis: null,
    partitions: 1,
    dedupeHorizonMs: 3_600_000,
    durability: { kind: "everysec" },
    counters: null,
  });
});

test("the environment wins over the file", () => {
  const file = fileOf({ port: 1, partitions: 4, counters: [{ name: "a", event: "x" }] });
  const config = loadConfig({ env: { TALLYMARK_PORT: "2" }, file });
  expect([config.port, config.partitions, config.counters?.[0]?.name]).toEqual([2, 4, "a"]);
});

test("all faults are told at once, each with its variable or field", () => {
  const file = fileOf({ partitions: 0, colour: "red", counters: [{ name: "A", event: "x" }, { name: "b" }] });
  const env = {
    TALLYMARK_PORT: "http",
    TALLYMARK_DEDUPE_HORIZON: "soon",
    TALLYMARK_DURABILITY: "maybe",
    TALLYMARK_LOG_LEVEL: "loud",
    REDIS_URL: "http://x",
    TALLYMARK_API_KEYS_FILE: "/nowhere/keys.json",
    TALLYMARK_RATE_LIMIT: "fast",
  };
  const faults = faultsOf({ env, file, roles: "api,cook" });
  for (const name of [
    ...Object.keys(env),
    "partitions",
    "colour",
    "counters[0].name",
    "counters[1].event",
    "--roles",
  ]) {
    expect(faults.some((fault) => fault.startsWith(`${name}:`))).toBe(true);
  }
});

test.each([
  ["a subset of roles without a shared Redis and Postgres", { env: {}, roles: "api" }, ["REDIS_URL", "DATABASE_URL"]],
  ["replicas of the embedded Redis", { env: { TALLYMARK_DURABILITY: "replicas:1" } }, ["TALLYMARK_DURABILITY"]],
  ["a file that is not there", { env: {}, file: "/nowhere.json" }, ["--config"]],
])("%s is a fault", (_what, sources, names) => {
  expect(faultsOf(sources).map((fault) => fault.split(":")[0])).toEqual(names);
});

test.each([
  ["roles with both URLs", { env: { REDIS_URL: "redis://h", DATABASE_URL: "postgres://h" }, roles: "api, worker" }],
])("%s is none", (_what, sources) => expect(faultsOf(sources)).toEqual([]));

test.each([
  ["127.0.0.1", false, true],
  ["127.1.2.3", false, true],
  ["::1", false, true],
  ["localhost", false, true],
  ["0.0.0.0", false, false],
  ["::", false, false],
  ["127.example.org", false, false],
  ["0.0.0.0", true, true],
])("without keys, listening on %s (--insecure: %s) may be open: %s", (host, insecure, mayBeOpen) => {
  expect(loadConfig({ env: { TALLYMARK_HOST: host }, insecure }).mayBeOpen).toBe(mayBeOpen);
});

test("every fault in a file of keys is told, without what is in it", () => {
  const file = (content: unknown) => faultsOf({ env: { TALLYMARK_API_KEYS_FILE: fileOf(content) } });
  const entries = [
    { name: "a", key: "tm_secret", scopes: ["read"] },
    { name: "b", scopes: ["all"] },
  ];
  expect(file(entries).map((fault) => fault.split(": ").slice(0, 2).join(" "))).toEqual([
    "TALLYMARK_API_KEYS_FILE [0].key",
    "TALLYMARK_API_KEYS_FILE [1].scopes",
    "TALLYMARK_API_KEYS_FILE [1]",
  ]);
  expect([...file(entries), ...file("[tm_secret")].join()).not.toContain("tm_secret");
  expect(file("[tm_secret")).toEqual([expect.stringContaining("is not valid JSON")]);
});

test.each([
  ["{", "is not valid JSON"],
  ["[]", "must hold a JSON object"],
])("a file with %s is a fault", (content, fault) => {
  expect(faultsOf({ env: {}, file: fileOf(content) })[0]).toContain(fault);
});

describe("REDIS_URL", () => {
  test.each([
    ["redis://h", { kind: "single", options: { host: "h", port: 6379, db: 0 } }],
    ["redis://:p%40ss@h:7000/2", { kind: "single", options: { host: "h", port: 7000, db: 2, password: "p@ss" } }],
    ["rediss://u:p@h", { kind: "single", options: { username: "u", password: "p", tls: {} } }],
    [
      "redis+sentinel://a,b:1/main",
      {
        kind: "single",
        options: {
          sentinels: [
            { host: "a", port: 26379 },
            { host: "b", port: 1 },
          ],
          name: "main",
        },
      },
    ],
    [
      "redis+cluster://a,[::1]:7",
      {
        kind: "cluster",
        nodes: [
          { host: "a", port: 6379 },
          { host: "::1", port: 7 },
        ],
      },
    ],
  ])("%s", (url, target) => expect(parseRedisUrl(url)).toMatchObject(target));

  test.each(["http://h", "redis://", "redis://a,b", "redis://h:99999", "redis+sentinel://a", "redis://h/x"])(
    "%s is a fault",
    (url) => {
      expect(() => parseRedisUrl(url)).toThrow(ConfigurationError);
    },
  );
});
