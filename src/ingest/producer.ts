import { ENTRY_EVENTS_MAX } from "../core/limits.ts";
import { type IdentifiedEvent, packColumns } from "../core/packed.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { ReplyTo } from "./outcomes.ts";

/** How many replicas must have an entry before it counts as queued, and how long to wait for them, ms. */
export interface ReplicaWait {
  readonly replicas: number;
  readonly timeoutMs: number;
}

/** Events of one partition that go into one stream entry. */
export interface Share {
  readonly partition: PartitionKeys;
  readonly events: readonly IdentifiedEvent[];
}

/** Splits events, already sorted by partition, into shares of at most ENTRY_EVENTS_MAX. */
export function shareOut(byPartition: ReadonlyMap<PartitionKeys, readonly IdentifiedEvent[]>): Share[] {
  const shares: Share[] = [];
  for (const [partition, events] of byPartition) {
    for (let from = 0; from < events.length; from += ENTRY_EVENTS_MAX) {
      shares.push({ partition, events: events.slice(from, from + ENTRY_EVENTS_MAX) });
    }
  }
  return shares;
}

/** Writes stream entries on a connection that never resends. */
export class Producer {
  readonly #client: RedisClient;
  readonly #wait: ReplicaWait | null;

  constructor(client: RedisClient, wait: ReplicaWait | null) {
    this.#client = client;
    this.#wait = wait;
  }

  /**
   * Queues all shares, one XADD each. Throws a Problem `unavailable` when the outcome of any is unknown: what was
   * queued stays queued, and the caller's retry comes back as duplicates.
   */
  async enqueue(shares: readonly Share[], replyTo: readonly (ReplyTo | null)[]): Promise<void> {
    try {
      // All are settled before the request is answered, so that a retry cannot overtake its first copy.
      const results = await Promise.allSettled(shares.map((share, i) => this.#add(share, replyTo[i] ?? null)));
      for (const result of results) if (result.status === "rejected") throw result.reason;
    } catch (error) {
      if (error instanceof Problem) throw error;
      const detail = "the events may or may not have been queued; send the request again with the same ids";
      throw new Problem("unavailable", detail, {}, error);
    }
  }

  async #add({ partition, events }: Share, replyTo: ReplyTo | null): Promise<void> {
    const fields = ["e", packColumns(events)];
    if (replyTo) fields.push("reply", replyTo.channel, "ticket", replyTo.ticket);
    if (!this.#wait) return void (await this.#client.xadd(partition.stream, "*", ...fields));
    // WAIT speaks of the writes of its own connection, so it follows the XADD on the same one, on a cluster too.
    const { replicas, timeoutMs } = this.#wait;
    const pipeline = this.#client.pipeline([
      ["xadd", partition.stream, "*", ...fields],
      ["wait", replicas, timeoutMs],
    ]);
    const [added, waited] = (await pipeline.exec()) ?? [];
    const error = added?.[0] ?? waited?.[0];
    if (error) throw error;
    const reached = Number(waited?.[1]);
    if (reached < replicas) {
      const detail = `only ${reached} of ${replicas} replicas have the events; send the request again with the same ids`;
      throw new Problem("unavailable", detail);
    }
  }
}
