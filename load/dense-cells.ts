import { Connections } from "../src/redis/client.ts";
import { type PartitionKeys, partitionKeys } from "../src/redis/keys.ts";
import { withRedis } from "./baselines.ts";
import { drain, fill, type Texts } from "./drain.ts";
import { measureKeys } from "./memory.ts";
import { fixed, type Row, whole } from "./report.ts";

/** Buckets of one key that share a hash, see `cellsPerChunk`. */
const BUCKETS = 128;
const BUCKET_MS = 60_000;
const KEYS = 200;
/** Events of the first key in a bucket; the others have their share by Zipf's law. */
const LARGEST = 200;
const COUNTER = { name: "views", event: "page.view", by: ["subject"], windows: ["1m"], top: false } as const;

export interface DenseFigures {
  readonly cells: number;
  readonly bytesPerCell: number;
}

/** Memory of cells where every key has a number in every bucket, as in a counter that has run for a while. */
export async function measureDenseCells(): Promise<DenseFigures> {
  return withRedis(async ({ address }) => {
    const connections = new Connections({ kind: "single", options: { ...address } }, () => {});
    try {
      const client = await connections.open("prompt");
      const [partition] = partitionKeys(1) as [PartitionKeys];
      await fill(client, partition, makeEvents());
      await drain(connections, [partition], COUNTER);
      const { members, bytes } = (await measureKeys(client)).cells;
      // Beside the keys' cells stands that of their total.
      if (members !== (KEYS + 1) * BUCKETS) throw new Error(`${members} cells in place of ${(KEYS + 1) * BUCKETS}`);
      return { cells: members, bytesPerCell: bytes / members };
    } finally {
      connections.closeAll();
    }
  });
}

/** Bucket by bucket, so that nothing is late. */
function makeEvents(): Texts {
  const keysOfBucket = Array.from({ length: KEYS }, (_, key) =>
    Array.from({ length: Math.ceil(LARGEST / (key + 1)) }, () => key),
  ).flat();
  const chunkMs = BUCKETS * BUCKET_MS;
  // The last whole stretch of buckets that share their hashes.
  const first = (Math.floor(Date.now() / chunkMs) - 1) * chunkMs;
  return {
    events: keysOfBucket.length * BUCKETS,
    text: (event) => {
      const time = first + Math.floor(event / keysOfBucket.length) * BUCKET_MS;
      const subject = `/page/${keysOfBucket[event % keysOfBucket.length]}`;
      return JSON.stringify({ id: `${event}`, source: "web", type: COUNTER.event, time, subject });
    },
  };
}

export function denseRows({ cells, bytesPerCell }: DenseFigures): Row[] {
  const remark = `${whole(cells)} cells, ${BUCKETS} consecutive buckets of each key; goal: at most 16`;
  return [["per cell, dense", fixed(bytesPerCell, 1), remark]];
}
