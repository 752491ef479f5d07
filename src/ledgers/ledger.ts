import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { requeue } from "../redis/commands/requeue.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";

/** Entries of one page, and how many are looked at for it at most: a page may be empty and have a cursor all the same. */
const PAGE = 100;
const LOOKED_AT_MAX = 5_000;

export interface LedgerEntry {
  /** Names the entry in requests: its partition and its id there. */
  readonly ref: string;
  readonly fields: Readonly<Record<string, string>>;
}

export interface LedgerPage {
  readonly entries: readonly LedgerEntry[];
  readonly cursor: string | null;
}

/** Events that were kept apart one by one, in every partition: the late ledger, or the dead letters. */
export class Ledger {
  readonly #client: RedisClient;
  readonly #scripts: Scripts;
  readonly #partitions: readonly PartitionKeys[];
  readonly #name: "late" | "dead";

  constructor(client: RedisClient, scripts: Scripts, partitions: readonly PartitionKeys[], name: "late" | "dead") {
    this.#client = client;
    this.#scripts = scripts;
    this.#partitions = partitions;
    this.#name = name;
  }

  /** Entries that are wanted, oldest first in each partition, from a cursor on. */
  async list(cursor: string | undefined, wanted: (fields: LedgerEntry["fields"]) => boolean): Promise<LedgerPage> {
    let [partition, after] = cursor === undefined ? [0, "-"] : parseRef(cursor, "cursor");
    const entries: LedgerEntry[] = [];
    for (let looked = 0; looked < LOOKED_AT_MAX; ) {
      const keys = this.#partitions[partition];
      if (!keys) return { entries, cursor: null };
      const page = await this.#client.xrange(keys[this.#name], after === "-" ? "-" : `(${after}`, "+", "COUNT", PAGE);
      for (const [id, fields] of page) {
        after = id;
        looked++;
        const entry = { ref: `${partition}-${id}`, fields: toRecord(fields) };
        if (wanted(entry.fields)) entries.push(entry);
        if (entries.length === PAGE) return { entries, cursor: `${partition}-${after}` };
      }
      if (page.length < PAGE) [partition, after] = [partition + 1, "-"];
    }
    return { entries, cursor: after === "-" ? `${partition}-0-0` : `${partition}-${after}` };
  }

  /** Puts entries back on their streams; answers how many were still there. */
  async requeue(refs: readonly string[]): Promise<number> {
    const byPartition = new Map<number, string[]>();
    for (const ref of refs) {
      const [partition, id] = parseRef(ref, "ref");
      byPartition.set(partition, [...(byPartition.get(partition) ?? []), id]);
    }
    let moved = 0;
    for (const [partition, ids] of byPartition) {
      const keys = this.#partitions[partition];
      if (keys) moved += await requeue(this.#client, this.#scripts, keys, keys[this.#name], ids);
    }
    return moved;
  }
}

function parseRef(ref: string, name: string): [partition: number, id: string] {
  const match = /^(\d{1,4})-(\d+-\d+)$/.exec(ref);
  if (!match) throw new Problem("invalid_parameter", `${name}: "${ref}" is not one that an answer gave`);
  return [Number(match[1]), match[2] as string];
}

function toRecord(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) record[fields[i] as string] = fields[i + 1] as string;
  return record;
}
