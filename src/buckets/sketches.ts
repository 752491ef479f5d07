import { randomUUID } from "node:crypto";
import type { Counter } from "../core/counter.ts";
import type { Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { CellOwner, PartitionKeys } from "../redis/keys.ts";
import { type Command, pipelined } from "./pipeline.ts";

/** Estimates of distinct members: HyperLogLogs united and counted by Redis itself. */
export class Sketches {
  readonly #client: RedisClient;
  readonly #partitions: readonly PartitionKeys[];
  /** On a cluster, partitions live in different slots, which PFCOUNT cannot unite. */
  readonly #acrossSlots: boolean;

  constructor(client: RedisClient, partitions: readonly PartitionKeys[], isCluster: boolean) {
    this.#client = client;
    this.#partitions = partitions;
    this.#acrossSlots = isCluster && partitions.length > 1;
  }

  /** Distinct members over all ranges together. */
  async countUnion(counter: Counter, owner: CellOwner, ranges: readonly Range[]): Promise<number> {
    const names = this.#partitions.map((partition) =>
      ranges.flatMap((range) => sketchNames(partition, counter, owner, range)),
    );
    const [count] = await this.#countEach([names]);
    return count ?? 0;
  }

  /** Distinct members of every bucket of a range, oldest first. */
  async countSeries(counter: Counter, owner: CellOwner, range: Range): Promise<number[]> {
    const byPartition = this.#partitions.map((partition) => sketchNames(partition, counter, owner, range));
    const buckets = (range.to - range.from) / range.window.ms;
    return this.#countEach(
      Array.from({ length: buckets }, (_, bucket) => byPartition.map((names) => [names[bucket] as string])),
    );
  }

  /** For each union: names by partition → estimate. */
  async #countEach(unions: readonly (readonly string[][])[]): Promise<number[]> {
    const wanted = unions.map((names) => names.flat().length > 0);
    const some = unions.filter((_, i) => wanted[i]);
    const counts = this.#acrossSlots ? await this.#countAcrossSlots(some) : await this.#countTogether(some);
    return wanted.map((isWanted) => (isWanted ? (counts.shift() as number) : 0));
  }

  async #countTogether(unions: readonly (readonly string[][])[]): Promise<number[]> {
    const commands = unions.map((names): Command => ["pfcount", ...names.flat()]);
    return (await pipelined(this.#client, commands)) as number[];
  }

  /** Unites within each slot into a short-lived key, then brings the bytes together in one slot. */
  async #countAcrossSlots(unions: readonly (readonly string[][])[]): Promise<number[]> {
    const id = randomUUID();
    const merged = await Promise.all(
      this.#partitions.map(async (partition, p) => {
        const scratch = partition.scratch(id);
        const pipeline = this.#client.pipeline();
        for (const names of unions) {
          pipeline.pfmerge(scratch, ...(names[p] ?? []));
          pipeline.getBuffer(scratch);
          pipeline.unlink(scratch);
        }
        const replies = (await pipeline.exec()) ?? [];
        for (const [error] of replies) if (error) throw error;
        return replies.filter((_, i) => i % 3 === 1).map(([, bytes]) => bytes as Buffer);
      }),
    );
    const home = this.#partitions[0] as PartitionKeys;
    const keys = merged.map((_, p) => home.scratch(`${id}.${p}`));
    const pipeline = this.#client.pipeline();
    for (const i of unions.keys()) {
      for (const [p, bytes] of merged.entries()) pipeline.set(keys[p] as string, bytes[i] as Buffer);
      pipeline.pfcount(...(keys as [string, ...string[]]));
      pipeline.unlink(...keys);
    }
    const replies = (await pipeline.exec()) ?? [];
    for (const [error] of replies) if (error) throw error;
    const perUnion = merged.length + 2;
    return unions.map((_, i) => Number(replies[i * perUnion + merged.length]?.[1]));
  }
}

function sketchNames(partition: PartitionKeys, counter: Counter, owner: CellOwner, range: Range): string[] {
  const keys = partition.window(counter, range.window);
  const names: string[] = [];
  for (let start = range.from; start < range.to; start += range.window.ms) names.push(keys.sketch(start, owner));
  return names;
}
