import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { META, partitionKeys } from "../../src/redis/keys.ts";
import { Scripts } from "../../src/redis/scripts.ts";
import type { TestApp } from "../support/app.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { expectCounted, judge } from "./lookups.ts";
import { SlotMove } from "./migrate.ts";
import { Sender } from "./sender.ts";
import { COUNTERS, CYCLE, eventsOf, hour } from "./traffic.ts";

/** What carries the service through the move of a slot is removed here, one mechanism at a time. */

const PARTITIONS = 4;
const STREAM = partitionKeys(PARTITIONS)[0]!.stream;
const WITHIN = { timeout: 60_000, interval: 500 };
const BEFORE = hour(0);

const FAILURES = "../../src/redis/failures.ts";
const PIPELINE = "../../src/buckets/pipeline.ts";
type Failures = typeof import("../../src/redis/failures.ts");
type Pipeline = typeof import("../../src/buckets/pipeline.ts");

let cluster: TestCluster;
let app: TestApp | undefined;

beforeAll(async () => {
  cluster = await startTestCluster(3, 0);
});
afterEach(async () => {
  await app?.stop();
  app = undefined;
  vi.doUnmock(FAILURES);
  vi.doUnmock(PIPELINE);
});
afterAll(() => cluster?.stop());

/** The service, made of the mocked modules. */
async function startMutant(): Promise<TestApp> {
  vi.resetModules();
  const { startTestApp } = await import("../support/app.ts");
  app = await startTestApp(COUNTERS, { REDIS_URL: cluster.url, TALLYMARK_PARTITIONS: String(PARTITIONS) });
  return app;
}

/** Workers made of the mocked modules, in this thread: those of a service have one of their own. */
async function importMutant() {
  vi.resetModules();
  const { startWorkers } = await import("../hazards/support.ts");
  const { Connections, parseRedisUrl } = await import("../../src/redis/client.ts");
  return { startWorkers, connections: new Connections(parseRedisUrl(cluster.url), () => {}) };
}

test("were a read that the move of its stream ends taken for fatal, the partition would stop", async () => {
  vi.doMock(FAILURES, async (original) => {
    const actual = (await original()) as Failures;
    const isEnded = (error: unknown) => error instanceof Error && error.message.startsWith("UNBLOCKED");
    return { ...actual, isFatalReply: (error: unknown) => isEnded(error) || actual.isFatalReply(error) };
  });
  const { startWorkers, connections } = await importMutant();
  const running = await startWorkers(
    { connections },
    { scripts: new Scripts(), partitions: partitionKeys(PARTITIONS) },
  );
  onTestFinished(async () => {
    await running.stop();
    connections.closeAll();
  });
  // Again until the stream goes while the owner waits for entries, which it does most of the time.
  const moveAndLook = async () => {
    await (await SlotMove.begin(cluster, STREAM)).finish();
    return running.workers.stoppedPartitions;
  };
  await expect.poll(moveAndLook, WITHIN).toBe(1);
});

test("were a script without a node that holds all its keys no passing state, it would be answered 500", async () => {
  vi.doMock(FAILURES, async (original) => {
    const actual = (await original()) as Failures;
    const isSplit = (error: unknown) => error instanceof Error && error.message.startsWith("Too many Cluster");
    return { ...actual, isUnavailable: (error: unknown) => !isSplit(error) && actual.isUnavailable(error) };
  });
  const { call } = await startMutant();
  const move = await SlotMove.begin(cluster, META.counters);
  await move.carry([META.counters]);
  const { status } = await call("PUT", "/v1/counters/later", { ...COUNTERS[1], name: undefined });
  await move.finish();
  expect(status).toBe(500);
});

test("were a pipeline sent again as a whole to where one key has gone, lookups would be wrong", async () => {
  vi.doMock(PIPELINE, (): Pipeline => {
    const pipelined: Pipeline["pipelined"] = async (client, commands) => {
      const results = (await client.pipeline(commands.map((command) => [...command])).exec()) ?? [];
      return results.map(([error, reply]) => {
        if (error) throw error;
        return reply;
      });
    };
    return {
      pipelined,
      pipelinedEach: (client, partitions, commandsOf) =>
        Promise.all(partitions.map((partition) => pipelined(client, commandsOf(partition)))),
    };
  });
  const { url } = await startMutant();
  const sender = new Sender(url);
  for (let i = 0; i < 4 * CYCLE; i += CYCLE) await sender.deliver(eventsOf(BEFORE, i, CYCLE));
  await expectCounted(url, BEFORE, 4 * CYCLE);
  const move = await SlotMove.begin(cluster, STREAM);
  const keys = await move.left();
  // Every second one, so that of each kind some go and some stay.
  await move.carry(keys.sort().filter((_, i) => i % 2 === 0));
  const verdicts = await judge(url, BEFORE, 4 * CYCLE);
  await move.finish();
  expect(verdicts).toContain("wrong");
});
