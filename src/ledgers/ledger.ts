import type { LedgerArchive } from "../cold/archive.ts";
import type { LedgerRow } from "../cold/ledger-rows.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { NO_ENTRY, readArchived } from "../redis/commands/archive.ts";
import { requeue } from "../redis/commands/requeue.ts";
import { compareEntryIds } from "../redis/entry-id.ts";
import type { LedgerName, PartitionKeys } from "../redis/keys.ts";
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

export interface LedgerDependencies {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
  readonly archive: LedgerArchive;
}

/** What one look at a partition's ledger has found. */
interface Look {
  /** By their ids. */
  readonly found: ReadonlyMap<string, LedgerEntry["fields"]>;
  /** Beyond this id there may be more; `null`: there is not. */
  readonly end: string | null;
}

/**
 * Events that were kept apart one by one, in every partition: the late ledger, or the dead letters. The youngest are in
 * Redis, the others in the archive.
 */
export class Ledger {
  readonly #deps: LedgerDependencies;
  readonly #name: LedgerName;

  constructor(deps: LedgerDependencies, name: LedgerName) {
    this.#deps = deps;
    this.#name = name;
  }

  /** Entries of one counter (dead letters: `null`), oldest first in each partition, from a cursor on. */
  async list(cursor: string | undefined, generation: number | null): Promise<LedgerPage> {
    let [partition, after] = cursor === undefined ? [0, NO_ENTRY] : parseRef(cursor, "cursor");
    const entries: LedgerEntry[] = [];
    for (let looked = 0; looked < LOOKED_AT_MAX; ) {
      const keys = this.#deps.partitions[partition];
      if (!keys) return { entries, cursor: null };
      const { found, end } = await this.#look(keys, generation, after);
      for (const id of [...found.keys()].sort(compareEntryIds)) {
        if (end !== null && compareEntryIds(id, end) > 0) break;
        after = id;
        looked++;
        const fields = found.get(id) as LedgerEntry["fields"];
        if (generation !== null && fields.generation !== String(generation)) continue;
        entries.push({ ref: `${partition}-${id}`, fields });
        if (entries.length === PAGE) return { entries, cursor: `${partition}-${after}` };
      }
      if (end === null) [partition, after] = [partition + 1, NO_ENTRY];
    }
    return { entries, cursor: `${partition}-${after}` };
  }

  /** Puts entries back on their streams; answers how many were still there. */
  async requeue(refs: readonly string[]): Promise<number> {
    const { client, scripts, partitions, archive } = this.#deps;
    const byPartition = new Map<number, string[]>();
    for (const ref of refs) {
      const [partition, id] = parseRef(ref, "ref");
      byPartition.set(partition, [...(byPartition.get(partition) ?? []), id]);
    }
    let requeued = 0;
    for (const [partition, ids] of byPartition) {
      const keys = partitions[partition];
      if (!keys) continue;
      const { moved, archived } = await requeue(client, scripts, keys, this.#name, ids);
      requeued += moved;
      if (archived.length > 0) requeued += await archive.giveBack(keys, this.#name, archived);
    }
    return requeued;
  }

  /** First in Redis, then in the archive: what moves there meanwhile is seen twice rather than not at all. */
  async #look(keys: PartitionKeys, generation: number | null, after: string): Promise<Look> {
    const { client, archive } = this.#deps;
    const hot = await client.xrange(keys[this.#name], `(${after}`, "+", "COUNT", PAGE);
    const mark = await readArchived(client, keys, this.#name);
    const page = { after, limit: PAGE };
    const isPast = compareEntryIds(after, mark) >= 0;
    const archived = isPast ? [] : await archive.list(keys, this.#name, generation ?? 0, page);
    const found = new Map<string, LedgerEntry["fields"]>();
    for (const row of archived) found.set(row.id, fieldsOf(row));
    for (const [id, fields] of hot) found.set(id, toRecord(fields));
    // Where one of them has more, what the other has beyond that comes later.
    const [end = null] = [hot.map(([id]) => id), archived.map(({ id }) => id)]
      .filter(({ length }) => length === PAGE)
      .map((ids) => ids.at(-1) as string)
      .sort(compareEntryIds);
    return { found, end };
  }
}

/** Numbers are bounded: further ones were in no answer, and neither Redis nor Postgres could read them. */
function parseRef(ref: string, name: string): [partition: number, id: string] {
  const match = /^(\d{1,4})-(\d{1,15}-\d{1,15})$/.exec(ref);
  if (!match) throw new Problem("invalid_parameter", `${name}: "${ref}" is not one that an answer gave`);
  return [Number(match[1]), match[2] as string];
}

function fieldsOf({ generation, watermark, reason, entry, payload }: LedgerRow): LedgerEntry["fields"] {
  const shared = { payload: payload.toString() };
  if (generation !== 0) return { ...shared, generation: String(generation), watermark: String(watermark) };
  return { ...shared, reason: String(reason), entry: String(entry) };
}

function toRecord(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < fields.length; i += 2) record[fields[i] as string] = fields[i + 1] as string;
  return record;
}
