import { randomBytes } from "node:crypto";
import { Cluster, type Redis } from "ioredis";
import { ConfigurationError, StartupError } from "../core/errors.ts";
import { primariesOf, type RedisClient } from "./client.ts";
import { META } from "./keys.ts";

export type Durability =
  | { readonly kind: "everysec" }
  | { readonly kind: "always" }
  | { readonly kind: "replicas"; readonly count: number };

/** What is decided once, when a deployment is made. */
export interface Deployment {
  /** Secret that keys the fingerprints of events. */
  readonly secret: string;
}

const MAJOR_MIN = 7;

/** Throws, with a sentence on each thing that is wrong, when this Redis cannot count exactly. */
export async function checkServer(client: RedisClient, durability: Durability): Promise<void> {
  const faults: string[] = [];
  for (const node of primariesOf(client)) {
    faults.push(...(await nodeFaults(node, client instanceof Cluster, durability)));
  }
  if (faults.length > 0) throw new ConfigurationError([...new Set(faults)]);
}

async function nodeFaults(node: Redis, expectCluster: boolean, durability: Durability): Promise<string[]> {
  const info = parseInfo(await node.info());
  const faults: string[] = [];
  const version = info.get("redis_version") ?? "unknown";
  if (!(Number.parseInt(version, 10) >= MAJOR_MIN)) {
    faults.push(`REDIS_URL: the server is Redis ${version}; Tallymark needs ${MAJOR_MIN}.0 or newer`);
  }
  const policy = info.get("maxmemory_policy");
  if (policy !== "noeviction") {
    faults.push(`REDIS_URL: maxmemory-policy is ${policy}, which would silently delete counts; set it to noeviction`);
  }
  const isCluster = info.get("cluster_enabled") === "1";
  if (isCluster && !expectCluster) faults.push("REDIS_URL: the server is part of a cluster; use redis+cluster://");
  if (!isCluster && expectCluster) faults.push("REDIS_URL: the server is not part of a cluster; use redis://");
  return [...faults, ...(await durabilityFaults(node, durability, info))];
}

async function durabilityFaults(node: Redis, durability: Durability, info: Map<string, string>): Promise<string[]> {
  if (durability.kind === "replicas") {
    const replicas = Number(info.get("connected_slaves") ?? 0);
    if (replicas >= durability.count) return [];
    return [`TALLYMARK_DURABILITY: replicas:${durability.count} needs that many replicas; the server has ${replicas}`];
  }
  if (durability.kind === "everysec") return [];
  const [, fsync] = (await node.config("GET", "appendfsync")) as string[];
  if (info.get("aof_enabled") === "1" && fsync === "always") return [];
  return ["TALLYMARK_DURABILITY: always needs appendonly yes and appendfsync always on the server"];
}

export function parseInfo(text: string): Map<string, string> {
  return new Map(
    text
      .split("\r\n")
      .filter((line) => line.includes(":"))
      .map((line) => line.split(/:(.*)/).slice(0, 2) as [string, string]),
  );
}

/** Makes the deployment on first use; afterwards its number of partitions is enforced. */
export async function openDeployment(client: RedisClient, partitions: number): Promise<Deployment> {
  // Asked first: a full Redis refuses to write what is there already, and its workers could not start to drain it.
  const made = await client.hmget(META.deployment, "partitions", "secret");
  if (made.includes(null)) {
    await client.hsetnx(META.deployment, "partitions", partitions);
    await client.hsetnx(META.deployment, "secret", randomBytes(16).toString("hex"));
  }
  const [stored, secret] = await client.hmget(META.deployment, "partitions", "secret");
  if (Number(stored) !== partitions) {
    throw new StartupError(
      `This deployment was made with ${stored} partitions, which cannot change: TALLYMARK_PARTITIONS must be ${stored}, not ${partitions}.`,
    );
  }
  return { secret: secret as string };
}
