import type { CounterDefinition } from "../../core/counter.ts";
import type { RedisClient } from "../client.ts";
import { META, type PartitionKeys } from "../keys.ts";
import type { Scripts } from "../scripts.ts";

export interface StoredDefinitions {
  /** 0 before the first change. */
  readonly version: number;
  readonly counters: readonly StoredCounter[];
  /** Generations beside those of `counters`, see lua/stage.lua. */
  readonly staged?: readonly StoredCounter[];
}

export interface StoredCounter {
  readonly definition: CounterDefinition;
  readonly generation: number;
}

const STAGED = "=staged:";

export async function readDefinitions(client: RedisClient): Promise<StoredDefinitions> {
  const fields = await client.hgetall(META.counters);
  const storedUnder = (isWanted: (field: string) => boolean) =>
    Object.entries(fields)
      .filter(([field]) => isWanted(field))
      .map(([, text]) => parseStored(text))
      .sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1));
  return {
    version: Number(fields["=version"] ?? 0),
    counters: storedUnder((field) => !field.startsWith("=")),
    staged: storedUnder((field) => field.startsWith(STAGED)),
  };
}

function parseStored(text: string): StoredCounter {
  const space = text.indexOf(" ");
  return {
    generation: Number(text.slice(0, space)),
    definition: JSON.parse(text.slice(space + 1)) as CounterDefinition,
  };
}

/** Counters that were deleted and whose keys and rows are not all swept yet. */
export async function readDeleted(client: RedisClient): Promise<StoredDefinitions["counters"]> {
  const fields = await client.hgetall(META.deletedCounters);
  return Object.entries(fields).map(([generation, text]) => ({
    generation: Number(generation),
    definition: JSON.parse(text) as CounterDefinition,
  }));
}

export async function forgetDeleted(client: RedisClient, generation: number): Promise<void> {
  await client.hdel(META.deletedCounters, String(generation));
}

export type DefineOutcome = { readonly kind: "conflict" } | { readonly kind: "ok"; readonly version: number };

/**
 * Stores (or with `definition: null` deletes) a counter if `known` is still the version; see lua/define.lua.
 *
 * @param generation of a counter that goes on, `null` for a new one
 */
export async function writeDefinition(
  client: RedisClient,
  scripts: Scripts,
  known: number,
  name: string,
  definition: CounterDefinition | null,
  generation: number | null,
): Promise<DefineOutcome> {
  const text = definition === null ? "" : JSON.stringify(definition);
  const reply = (await scripts
    .get("define")
    .run(client, [META.counters, META.deletedCounters], [known, name, text, generation ?? ""])) as [
    "ok" | "conflict",
    number,
  ];
  return reply[0] === "ok" ? { kind: "ok", version: reply[1] } : { kind: "conflict" };
}

/** From here on the partition refuses batches planned under definitions older than `version`. */
export async function raiseVersion(client: RedisClient, scripts: Scripts, partition: PartitionKeys, version: number) {
  await scripts.get("raise-version").run(client, [partition.state], [version]);
}
