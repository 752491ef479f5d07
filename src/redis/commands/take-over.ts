import type { RedisClient } from "../client.ts";
import { GROUP, type PartitionKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

/** The oldest pending entry as a new owner finds it. */
export interface Suspect {
  readonly entry: string;
  /** Owners in turn, the new one included, that began with this entry as the oldest. */
  readonly owners: number;
}

export type TakeOverOutcome =
  | { readonly kind: "lost" }
  /** `null`: nothing is pending. */
  | { readonly kind: "ok"; readonly suspect: Suspect | null };

/** Notes what a new owner begins with, see lua/take-over.lua. */
export async function noteTakeOver(
  client: RedisClient,
  scripts: Scripts,
  partition: PartitionKeys,
  token: string,
): Promise<TakeOverOutcome> {
  const { stream, lease, state } = partition;
  const reply = (await scripts.get("take-over").run(client, [stream, lease, state], [token, GROUP])) as
    | ["lost"]
    | ["ok", string, number];
  if (reply[0] === "lost") return { kind: "lost" };
  const [, entry, owners] = reply;
  return { kind: "ok", suspect: entry === "" ? null : { entry, owners } };
}
