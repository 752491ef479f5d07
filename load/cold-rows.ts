import type { CellRow } from "../src/cold/store.ts";
import { Connections } from "../src/redis/client.ts";
import { withRedis } from "./baselines.ts";

export const MINUTE = 60_000;
/** Keys of each bucket. */
export const KEYS = 1_000;
/** Events of the first key in a bucket; the others have their share by Zipf's law. */
const LARGEST = 20_000;
const MEMBERS_AT_ONCE = 1_000;

export const ownerOf = (key: number): string => `k/page/${key}`;
const countOf = (key: number): number => Math.ceil(LARGEST / (key + 1));

/** Rows as the export of closed buckets makes them: one minute after another, every key in each. */
export function makeRows(count: number, sketches: readonly Buffer[] | null): CellRow[] {
  return Array.from({ length: count }, (_, i) => {
    const key = i % KEYS;
    const events = BigInt(countOf(key) + (i % 7));
    return {
      generation: 1,
      windowMs: MINUTE,
      start: Math.floor(i / KEYS) * MINUTE,
      owner: Buffer.from(ownerOf(key)),
      partition: 0,
      correction: 0,
      count: events,
      micro: events * 1_250_000n,
      sketch: sketches?.[key] ?? null,
    };
  });
}

/** Redis's own sketches, for each key one of as many members as the key has events: two thirds of them sparse, or more. */
export async function makeSketches(): Promise<Buffer[]> {
  return withRedis(async (redis) => {
    const connections = new Connections({ kind: "single", options: { ...redis.address } }, () => {});
    try {
      const client = await connections.open("prompt");
      const sketches: Buffer[] = [];
      for (let key = 0; key < KEYS; key++) {
        for (let at = 0; at < countOf(key); at += MEMBERS_AT_ONCE) {
          const length = Math.min(MEMBERS_AT_ONCE, countOf(key) - at);
          await client.pfadd(`u${key}`, ...Array.from({ length }, (_, i) => `visitor ${key} ${at + i}`));
        }
        sketches.push((await client.getBuffer(`u${key}`)) as Buffer);
      }
      return sketches;
    } finally {
      connections.closeAll();
    }
  });
}
