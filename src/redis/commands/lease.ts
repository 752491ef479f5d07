import { LIVE_CLOCK_MAX_LAG_MS } from "../../core/limits.ts";
import type { RedisClient } from "../client.ts";
import { GROUP, type PartitionKeys } from "../keys.ts";
import { packForLua } from "../pack.ts";
import type { Scripts } from "../scripts.ts";

/** How long a lease outlives its owner's last sign of life, ms. */
export const LEASE_MS = 5_000;

/** Takes the partition if nobody owns it or the caller already does. */
export async function acquireLease(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
): Promise<boolean> {
  return (await scripts.get("acquire").run(client, [partition.lease], [token, LEASE_MS])) === 1;
}

export async function releaseLease(client: RedisClient, scripts: Scripts, partition: PartitionKeys, token: string) {
  await scripts.get("release").run(client, [partition.lease, partition.state], [token]);
}

export interface TickingCounter {
  readonly generation: string;
  readonly lateness: number;
  /** What a historic clock rises to, ms. */
  readonly floor: number | null;
  /** What a missing clock starts at, ms. */
  readonly seed: number | null;
}

export type TickOutcome =
  | { readonly kind: "lost" }
  | {
      readonly kind: "ok";
      /** Entries in the stream that are not applied: new or pending. */
      readonly waiting: number;
      /** Entries added but neither applied nor waiting; anything but 0 is a loss. */
      readonly missing: number;
    };

/** Renews the lease and moves idle clocks, see lua/tick.lua. */
export async function tick(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
  counters: readonly TickingCounter[],
): Promise<TickOutcome> {
  const packed = packForLua({ group: GROUP, liveLag: LIVE_CLOCK_MAX_LAG_MS, counters });
  const { stream, lease, state, clocks, kept } = partition;
  const keys = [stream, lease, state, clocks, kept];
  const reply = (await scripts.get("tick").run(client, keys, [token, LEASE_MS, packed])) as [
    TickOutcome["kind"],
    number,
    number,
  ];
  return reply[0] === "ok" ? { kind: "ok", waiting: reply[1], missing: reply[2] } : { kind: "lost" };
}
