import type { RedisClient } from "../client.ts";
import { compareEntryIds } from "../entry-id.ts";
import { GROUP, META, type PartitionKeys, rebuiltField, seamField } from "../keys.ts";
import type { Scripts } from "../scripts.ts";
import type { DefineOutcome } from "./definitions.ts";

export type StageOutcome =
  | { readonly kind: "conflict" }
  | { readonly kind: "ok"; readonly version: number; readonly generation: number };

/** Stages a new generation of a counter, see lua/stage.lua. */
export async function stageGeneration(
  client: RedisClient,
  scripts: Scripts,
  known: number,
  name: string,
  live: number,
): Promise<StageOutcome> {
  const reply = (await scripts.get("stage").run(client, [META.counters], [known, name, live])) as
    | ["conflict"]
    | ["ok", number, number];
  return reply[0] === "ok" ? { kind: "ok", version: reply[1], generation: reply[2] } : { kind: "conflict" };
}

/** Puts a staged generation in the place of the one that lives, or with `null` gives it up; see lua/unstage.lua. */
export async function unstageGeneration(
  client: RedisClient,
  scripts: Scripts,
  name: string,
  generation: number,
  live: number | null,
): Promise<DefineOutcome> {
  const keys = [META.counters, META.deletedCounters];
  const reply = (await scripts.get("unstage").run(client, keys, [name, generation, live ?? ""])) as [
    "ok" | "conflict",
    number,
  ];
  return reply[0] === "ok" ? { kind: "ok", version: reply[1] } : { kind: "conflict" };
}

/** Where counting of a staged generation begins in one partition. */
export class Seam {
  /** Entries from here on are behind the seam. */
  readonly bound: string;
  readonly #pending: ReadonlySet<string>;

  constructor(text: string) {
    const [bound, ...pending] = text.split(" ");
    this.bound = bound as string;
    this.#pending = new Set(pending);
  }

  /** Whether an entry was applied before. */
  isBefore(entry: string): boolean {
    return compareEntryIds(entry, this.bound) < 0 && !this.#pending.has(entry);
  }
}

/** Begins to count a staged generation, see lua/seam.lua; `null` when that cannot be just now. */
export async function beginSeam(
  client: RedisClient,
  scripts: Scripts,
  { stream, state, kept }: PartitionKeys,
  generation: number,
): Promise<Seam | null> {
  const text = (await scripts.get("seam").run(client, [stream, state, kept], [generation, GROUP])) as string;
  return text === "" ? null : new Seam(text);
}

/** Once the generation is staged no more. */
export async function forgetSeam(client: RedisClient, { state }: PartitionKeys, generation: number): Promise<void> {
  await client.hdel(state, seamField(generation), rebuiltField(generation));
}
