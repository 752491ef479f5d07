import { BATCH_EVENTS_MAX } from "../src/core/limits.ts";
import { Connections, primariesOf } from "../src/redis/client.ts";
import { partitionKeys } from "../src/redis/keys.ts";
import { type BenchCluster, startCluster } from "./cluster.ts";
import { drain, fill } from "./drain.ts";
import { readCpuTime, readMachineCpuTime } from "./measure.ts";
import { median } from "./quantiles.ts";
import { fixed, type Row, whole } from "./report.ts";
import { COUNTER, makeWorkload } from "./workload.ts";

const PRIMARIES = [1, 3];
const PARTITIONS = [1, 4, 16];
const ROUNDS = 3;

export interface GrowthFigures {
  /** Full batches of each partition. */
  readonly batches: number;
  readonly cases: readonly GrowthCase[];
  /** CPU of all other processes of the machine while streams were drained, as a share of a core: how noisy it was. */
  readonly othersCpuShare: number;
  /** How much more the dearest case costs than the cheapest, as a share. */
  readonly largestDifference: number;
}

interface GrowthCase {
  readonly primaries: number;
  readonly partitions: number;
  readonly events: number;
  /** CPU of all primaries, µs, the median of the rounds. */
  readonly redisMicrosPerEvent: number;
}

/** One draining: seconds of CPU and of the clock. */
interface Drained extends GrowthCase {
  readonly othersCpu: number;
  readonly seconds: number;
}

/** What an event costs Redis with more partitions and more primaries, where every partition has as much to do as a single one. */
export async function measureGrowth(eventsOfPartition: number): Promise<GrowthFigures> {
  const batches = Math.max(1, Math.round(eventsOfPartition / BATCH_EVENTS_MAX));
  const clusters: BenchCluster[] = [];
  const rounds: Drained[][] = [];
  try {
    for (const primaries of PRIMARIES) clusters.push(await startCluster(primaries));
    // In turns, so that all meet the same machine.
    for (let round = 0; round < ROUNDS; round++) rounds.push(await measureRound(clusters, batches));
  } finally {
    for (const cluster of clusters) await cluster.stop();
  }
  const cases = (rounds[0] as Drained[]).map(({ primaries, partitions, events }, i) => {
    const costs = rounds.map((round) => (round[i] as Drained).redisMicrosPerEvent);
    return { primaries, partitions, events, redisMicrosPerEvent: median(costs) };
  });
  const costs = cases.map(({ redisMicrosPerEvent }) => redisMicrosPerEvent);
  const sum = (of: "othersCpu" | "seconds") => rounds.flat().reduce((total, drained) => total + drained[of], 0);
  return {
    batches,
    cases,
    othersCpuShare: sum("othersCpu") / sum("seconds"),
    largestDifference: Math.max(...costs) / Math.min(...costs) - 1,
  };
}

async function measureRound(clusters: readonly BenchCluster[], batches: number): Promise<Drained[]> {
  const cases: Drained[] = [];
  for (const cluster of clusters) {
    for (const partitions of PARTITIONS) cases.push(await measureCase(cluster, partitions, batches));
  }
  return cases;
}

async function measureCase(cluster: BenchCluster, partitions: number, batches: number): Promise<Drained> {
  const connections = new Connections(cluster.target, () => {});
  try {
    const client = await connections.open("prompt");
    for (const primary of primariesOf(client)) await primary.flushall();
    const keys = partitionKeys(partitions);
    // A workload of its own for each: as dense in time and keys as the share that ids would give it of a larger one.
    for (const partition of keys) {
      const options = { seed: partition.partition + 1, events: batches * BATCH_EVENTS_MAX, endsAt: Date.now() };
      await fill(client, partition, makeWorkload(options));
    }
    const readings = () => ({
      redis: cluster.pids.reduce((sum, pid) => sum + readCpuTime(pid).own, 0),
      own: readCpuTime(process.pid).own,
      machine: readMachineCpuTime(),
      at: performance.now(),
    });
    const before = readings();
    await drain(connections, keys, COUNTER);
    const after = readings();
    for (const { stream } of keys) {
      if ((await client.xlen(stream)) !== 0) throw new Error("something is left on a stream");
    }
    const spent = (what: keyof typeof before) => after[what] - before[what];
    const events = partitions * batches * BATCH_EVENTS_MAX;
    return {
      primaries: cluster.pids.length,
      partitions,
      events,
      redisMicrosPerEvent: (spent("redis") * 1e6) / events,
      othersCpu: spent("machine") - spent("redis") - spent("own"),
      seconds: spent("at") / 1_000,
    };
  } finally {
    connections.closeAll();
  }
}

export function growthRows({ cases, othersCpuShare, largestDifference }: GrowthFigures): Row[] {
  return [
    ...cases.map(({ primaries, partitions, events, redisMicrosPerEvent }): Row => {
      const name = `${primaries} primar${primaries === 1 ? "y" : "ies"}, P = ${partitions}`;
      return [name, fixed(redisMicrosPerEvent), `${whole(events)} events, median of ${ROUNDS} rounds`];
    }),
    ["largest difference, %", whole(largestDifference * 100), "of the dearest from the cheapest; goal: within 25"],
    ["others, % of a core", whole(othersCpuShare * 100), "noise: all other processes meanwhile"],
  ];
}
