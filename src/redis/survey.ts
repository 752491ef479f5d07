import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { primariesOf, type RedisClient } from "./client.ts";
import { KEY_KINDS, type KeyKind, kindOfKey } from "./keys.ts";

/** Keys of one step, and the rest after it, ms: a step takes Redis about a millisecond, so a pass takes 1 % of a core. */
const KEYS_AT_ONCE = 1_000;
const PAUSE_MS = 100;
/** Keys of each kind that a step measures at least, where there are as many; of streams and what else is few and uneven, all. */
const SAMPLES = 32;
/** Members of one large key that MEMORY USAGE looks at; with its own 5, boards of uneven keys were 30 % off. */
const MEMBERS = 64;
const SAMPLED: ReadonlySet<KeyKind> = new Set(["ids", "cells", "sketches", "boards", "indexes"]);

/** What the keys of one kind hold. */
export interface KindHolding {
  readonly keys: number;
  /** As MEMORY USAGE counts: with the key's name and the allocator's rounding. */
  readonly bytes: number;
}

interface Tally {
  keys: number;
  measured: number;
  bytes: number;
}

/**
 * How much memory each kind of key takes: one slow pass of SCAN over all primaries, about 10,000 keys a second on each.
 * Keys are counted (SCAN may name one twice while its table grows), bytes are the mean of the measured ones. Throws the
 * signal's reason, or what Redis failed with; a pass that was broken off says nothing.
 */
export async function surveyMemory(client: RedisClient, signal: AbortSignal): Promise<Record<KeyKind, KindHolding>> {
  const tallies = new Map<KeyKind, Tally>(KEY_KINDS.map((kind) => [kind, { keys: 0, measured: 0, bytes: 0 }]));
  await Promise.all(primariesOf(client).map((node) => surveyNode(node, tallies, signal)));
  const holdings = KEY_KINDS.map((kind) => {
    const { keys, measured, bytes } = tallies.get(kind) as Tally;
    return [kind, { keys, bytes: measured === 0 ? 0 : (keys * bytes) / measured }] as const;
  });
  return Object.fromEntries(holdings) as Record<KeyKind, KindHolding>;
}

async function surveyNode(node: Redis, tallies: ReadonlyMap<KeyKind, Tally>, signal: AbortSignal): Promise<void> {
  for (let cursor: string | null = null; cursor !== "0"; ) {
    const [next, names]: [string, string[]] = await node.scan(cursor ?? "0", "COUNT", KEYS_AT_ONCE);
    const kinds = names.map(kindOfKey);
    for (const [kind, tally] of tallies) {
      const ofKind = names.filter((_, i) => kinds[i] === kind);
      await measure(node, tally, ofKind, SAMPLED.has(kind));
    }
    cursor = next;
    if (cursor !== "0") await delay(PAUSE_MS, undefined, { signal });
  }
}

async function measure(node: Redis, tally: Tally, names: readonly string[], isSampled: boolean): Promise<void> {
  tally.keys += names.length;
  const every = isSampled ? Math.max(1, Math.floor(names.length / SAMPLES)) : 1;
  const chosen = names.filter((_, i) => i % every === 0);
  const sizes = await Promise.all(chosen.map((name) => node.memory("USAGE", name, "SAMPLES", MEMBERS)));
  for (const bytes of sizes) {
    if (bytes === null) continue; // gone meanwhile
    tally.measured++;
    tally.bytes += bytes;
  }
}
