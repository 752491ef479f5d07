import type { RedisClient } from "../redis/client.ts";
import { freezeOldest, NO_ENTRY, readArchived, readRestored, restore } from "../redis/commands/archive.ts";
import type { LedgerName, PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import type { Database, Query } from "./database.ts";
import {
  awaitLedgers,
  deleteNumbered,
  deleteWaiting,
  insertEntries,
  type LedgerRow,
  listNumbered,
  listWaiting,
  lockLedger,
  numberEntries,
} from "./ledger-rows.ts";

/** Entries copied by one transaction, or given back by one script: each may hold 64 KiB. */
const ENTRIES_AT_ONCE = 100;

export interface ArchiveDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly database: Database;
}

/**
 * The part of late ledgers and dead letters that has left Redis. A mark in Redis divides each ledger: entries up to it belong
 * to the archive, younger ones to Redis, and only their owner gives them back to the stream.
 *
 * Into the archive: the mark moves; what it passed, and nobody else moves any more, is copied; once that is committed, it
 * leaves Redis. Back: entries get numbers that rise, and lua/restore.lua takes each number once. Every step may be
 * repeated, and each takes up what one that died has left.
 */
export class LedgerArchive {
  readonly #deps: ArchiveDependencies;

  constructor(deps: ArchiveDependencies) {
    this.#deps = deps;
  }

  /** Takes the oldest entries of a ledger that has `above` of them in Redis, all but `keep`. Answers how many it copied. */
  async take(
    keys: PartitionKeys,
    ledger: LedgerName,
    { above, keep }: { readonly above: number; readonly keep: number },
  ): Promise<number> {
    const { client } = this.#deps;
    if ((await client.xlen(keys[ledger])) < above) return 0;
    let copied = 0;
    do copied += await this.#copy(keys, ledger, keep);
    while ((await client.xlen(keys[ledger])) > keep);
    return copied;
  }

  /** Entries that wait, of a counter or (0) dead letters, after an id, oldest first. */
  async list(
    keys: PartitionKeys,
    ledger: LedgerName,
    generation: number,
    page: { readonly after: string; readonly limit: number },
  ): Promise<LedgerRow[]> {
    return listWaiting(this.#query, { partition: keys.partition, ledger }, generation, page);
  }

  /**
   * Gives entries back to the stream; answers how many still waited. What it has answered for, or died before it could,
   * comes to the stream by `finish` at the latest.
   */
  async giveBack(keys: PartitionKeys, ledger: LedgerName, ids: readonly string[]): Promise<number> {
    const { client, database } = this.#deps;
    // Were an entry still in Redis, it would be copied again once its row has gone.
    await this.#settle(keys, ledger);
    const at = { partition: keys.partition, ledger };
    const numbered = await database.transaction(async (query) => {
      const last = await lockLedger(query, at, await readRestored(client, keys, ledger));
      return numberEntries(query, at, ids, last);
    });
    await this.#restore(keys, ledger);
    return numbered;
  }

  /** Does what others began and did not end, and lets rows go whose entries are back on the stream. */
  async finish(keys: PartitionKeys, ledger: LedgerName): Promise<void> {
    const { client, database } = this.#deps;
    if ((await readArchived(client, keys, ledger)) === NO_ENTRY) return;
    await this.#settle(keys, ledger);
    await this.#restore(keys, ledger);
    const restored = await readRestored(client, keys, ledger);
    const at = { partition: keys.partition, ledger };
    while ((await database.transaction((query) => deleteNumbered(query, at, restored))) > 0);
  }

  /** Removes the late events of a counter that is deleted, once none of them is in Redis any more. */
  async deleteGeneration(partitions: readonly PartitionKeys[], generation: number): Promise<void> {
    const { database } = this.#deps;
    // Whoever read them from Redis before has written them then.
    await database.transaction(awaitLedgers);
    for (const { partition } of partitions) {
      const at = { partition, ledger: "late" } as const;
      while ((await database.transaction((query) => deleteWaiting(query, at, generation))) > 0);
    }
  }

  readonly #query: Query = (text, params) => this.#deps.database.query(text, params);

  /** Copies what belongs to the archive and is still in Redis. */
  async #settle(keys: PartitionKeys, ledger: LedgerName): Promise<void> {
    const { client } = this.#deps;
    for (;;) {
      const mark = await readArchived(client, keys, ledger);
      if ((await client.xrange(keys[ledger], "-", mark, "COUNT", 1)).length === 0) return;
      await this.#copy(keys, ledger, Number.MAX_SAFE_INTEGER);
    }
  }

  /** Copies some entries beyond the youngest `keep`, or what is left of earlier ones. */
  async #copy(keys: PartitionKeys, ledger: LedgerName, keep: number): Promise<number> {
    const { client, scripts, database } = this.#deps;
    const at = { partition: keys.partition, ledger };
    let copied = 0;
    // The ledger is held while they are read: whoever comes next finds them either here or there.
    const ids = await database.transaction(async (query) => {
      await lockLedger(query, at, 0);
      const mark = await freezeOldest(client, scripts, keys, ledger, { keep, most: ENTRIES_AT_ONCE });
      const entries = await client.xrangeBuffer(keys[ledger], "-", mark, "COUNT", ENTRIES_AT_ONCE);
      copied = await insertEntries(query, at, entries.map(rowOf));
      return entries.map(([id]) => id.toString());
    });
    if (ids.length > 0) await client.xdel(keys[ledger], ...ids);
    return copied;
  }

  /** Puts entries that have a number back onto the stream. */
  async #restore(keys: PartitionKeys, ledger: LedgerName): Promise<void> {
    const { client, scripts } = this.#deps;
    const at = { partition: keys.partition, ledger };
    for (;;) {
      const after = await readRestored(client, keys, ledger);
      const rows = await listNumbered(this.#query, at, { after, limit: ENTRIES_AT_ONCE });
      if (rows.length === 0) return;
      await restore(client, scripts, keys, ledger, rows);
    }
  }
}

function rowOf([id, list]: [Buffer, Buffer[]]): LedgerRow {
  const fields = new Map<string, Buffer>();
  for (let i = 0; i < list.length; i += 2) fields.set(String(list[i]), list[i + 1] as Buffer);
  return {
    id: id.toString(),
    generation: Number(fields.get("generation") ?? 0),
    watermark: fields.get("watermark")?.toString() ?? null,
    reason: fields.get("reason") ?? null,
    entry: fields.get("entry")?.toString() ?? null,
    payload: fields.get("payload") ?? Buffer.alloc(0),
  };
}
