import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Connections, parseRedisUrl } from "../../src/redis/client.ts";
import { partitionKeys } from "../../src/redis/keys.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { type ClusterNode, startTestCluster, type TestCluster } from "../support/cluster.ts";
import { expectCounted } from "./lookups.ts";
import { Sender } from "./sender.ts";
import { COUNTERS, CYCLE, eventsOf, hour } from "./traffic.ts";

/** A primary that has no replica freezes: its partition must wait for it, and no other. */

const PARTITION_KEYS = partitionKeys(3);
/** More heartbeats than an owner gives that must take its partition anew each time its lease has run out. */
const RENEWALS = 8;
const WITHIN = { timeout: 30_000, interval: 200 };

let cluster: TestCluster;
let app: TestApp;
let connections: Connections;

beforeAll(async () => {
  cluster = await startTestCluster(3, 0);
  // Otherwise all nodes refuse everything as soon as they miss one of them.
  for (const { client } of cluster.nodes) await client.config("SET", "cluster-require-full-coverage", "no");
  app = await startTestApp(COUNTERS, { REDIS_URL: cluster.url, TALLYMARK_PARTITIONS: String(PARTITION_KEYS.length) });
  connections = new Connections(parseRedisUrl(cluster.url), () => {});
});
afterAll(async () => {
  for (const { process } of cluster?.nodes ?? []) process.kill("SIGCONT");
  connections?.closeAll();
  await app?.stop();
  await cluster?.stop();
});

test("the partitions of the other primaries keep their owner and go on", { timeout: 180_000 }, async () => {
  const sender = new Sender(app.url);
  await sender.deliver(eventsOf(hour(0), 0, CYCLE));
  await expectCounted(app.url, hour(0), CYCLE);
  const [frozen, ...others] = await Promise.all(PARTITION_KEYS.map(nodeOf));
  expect(new Set([frozen, ...others]).size).toBe(3);

  frozen?.process.kill("SIGSTOP");
  const events = eventsOf(hour(1), 0, CYCLE / 3);
  const taken = await Promise.all(events.map((event) => sender.offer([event])));
  expect(taken.filter(Boolean).length).toBeGreaterThan(0);
  const goesOn = async ({ client }: ClusterNode, i: number) => {
    const { lease, stream } = PARTITION_KEYS[i + 1]!;
    await expectRenewed(() => client.pttl(lease));
    await expect.poll(() => client.xlen(stream), WITHIN).toBe(0);
  };
  await Promise.all(others.map(goesOn));
  const open = () => connections.open("blocking");
  const connection = await vi.waitFor(open, WITHIN);
  expect(await connection.exists(PARTITION_KEYS[1]!.state)).toBe(1);

  frozen?.process.kill("SIGCONT");
  await sender.deliver(eventsOf(hour(1), 0, CYCLE));
  await expectCounted(app.url, hour(1), CYCLE);
});

async function nodeOf({ stream }: { readonly stream: string }): Promise<ClusterNode> {
  const holders = await Promise.all(cluster.nodes.map(({ client }) => client.exists(stream).catch(() => 0)));
  return cluster.nodes[holders.indexOf(1)] as ClusterNode;
}

async function expectRenewed(remaining: () => Promise<number>): Promise<void> {
  let last = await remaining();
  let renewals = 0;
  const look = async () => {
    const now = await remaining();
    if (now > last && last > 0) renewals++;
    last = now;
    return renewals;
  };
  await expect.poll(look, WITHIN).toBeGreaterThanOrEqual(RENEWALS);
}
