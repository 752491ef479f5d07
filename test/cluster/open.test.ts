import { afterAll, beforeAll, expect, test } from "vitest";
import { Connections, parseRedisUrl } from "../../src/redis/client.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";

/** Connections to a cluster that is down while they are made, as those of a partition's new owner are in a failover. */

/** Of the first node; without an owner for every slot a cluster is down. */
const SLOT = 0;
const WITHIN = { timeout: 30_000, interval: 100 };

let cluster: TestCluster;
let connections: Connections;

beforeAll(async () => {
  cluster = await startTestCluster(3, 0);
  connections = new Connections(parseRedisUrl(cluster.url), () => {});
});
afterAll(async () => {
  connections?.closeAll();
  await cluster?.stop();
});

const states = async () =>
  Promise.all(cluster.nodes.map(async ({ client }) => /cluster_state:(\w+)/.exec(await client.cluster("INFO"))?.[1]));

/** How often the nodes were asked for the cluster's state. */
async function looks(): Promise<number> {
  const stats = await Promise.all(cluster.nodes.map(({ client }) => client.info("commandstats")));
  const calls = stats.map((text) => Number(/^cmdstat_cluster\|info:calls=(\d+)/m.exec(text)?.[1] ?? 0));
  return calls.reduce((sum, count) => sum + count, 0);
}

async function takeDown(): Promise<void> {
  for (const { client } of cluster.nodes) await client.cluster("DELSLOTS", SLOT);
  await expect.poll(states, WITHIN).toEqual(["fail", "fail", "fail"]);
}

async function bringUp(): Promise<void> {
  await cluster.nodes[0]!.client.cluster("ADDSLOTS", SLOT);
  await expect.poll(states, WITHIN).toEqual(["ok", "ok", "ok"]);
}

test.each(["prompt", "blocking"] as const)("a %s connection is made once the cluster is up again", async (purpose) => {
  await takeDown();
  const before = await looks();
  const opening = connections.open(purpose);
  await expect.poll(looks, WITHIN).toBeGreaterThan(before);
  await bringUp();
  expect(await (await opening).get("anything")).toBeNull();
});

test("a cluster that stays down is an error, and not waited for without end", async () => {
  await takeDown();
  await expect(connections.open("prompt")).rejects.toThrow("Connection is closed");
  await bringUp();
});
