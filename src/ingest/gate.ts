import { BACKLOG_BYTES_MAX, MEMORY_SHARE_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import { primariesOf, type RedisClient } from "../redis/client.ts";
import { parseInfo } from "../redis/deployment.ts";
import type { PartitionKeys } from "../redis/keys.ts";

/** How often the backlog and the memory are looked at, ms. */
const LOOK_MS = 250;

/** What a look has found. */
export interface GateView {
  /** Of the entries on the streams, by partition. */
  readonly backlogBytes: readonly number[];
  /** Partitions with too much on their stream, most of which is applied and kept for the archive. */
  readonly forArchive: ReadonlySet<number>;
  /** In use, all primaries together. */
  readonly memoryBytes: number;
  /** In use of `maxmemory`, on the primary where it is most; 0 where there is no `maxmemory`. */
  readonly memoryShare: number;
}

/**
 * Refuses events while too many wait or Redis is too full. What was accepted is never trimmed or evicted, so this is
 * the only place where load can be turned away.
 */
export class Gate {
  readonly #client: RedisClient;
  readonly #partitions: readonly PartitionKeys[];
  readonly #onError: (error: unknown) => void;
  #view: GateView = { backlogBytes: [], forArchive: new Set(), memoryBytes: 0, memoryShare: 0 };
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  private constructor(client: RedisClient, partitions: readonly PartitionKeys[], onError: (error: unknown) => void) {
    this.#client = client;
    this.#partitions = partitions;
    this.#onError = onError;
  }

  static async open(
    client: RedisClient,
    partitions: readonly PartitionKeys[],
    onError: (error: unknown) => void,
  ): Promise<Gate> {
    const gate = new Gate(client, partitions, onError);
    await gate.look();
    gate.#schedule();
    return gate;
  }

  /** Why events are refused just now; `null` when they are not. */
  get reason(): string | null {
    const { backlogBytes, memoryShare } = this.#view;
    const full = backlogBytes.findIndex((bytes) => bytes > BACKLOG_BYTES_MAX);
    if (full >= 0) {
      const whom = this.#view.forArchive.has(full) ? " for the archive" : "";
      return `more than ${BACKLOG_BYTES_MAX} bytes of events wait${whom} on partition ${full}`;
    }
    return memoryShare > MEMORY_SHARE_MAX ? `Redis uses more than ${MEMORY_SHARE_MAX * 100} % of its maxmemory` : null;
  }

  /** As of the last look. */
  get view(): GateView {
    return this.#view;
  }

  /** Throws a Problem `overloaded` while events are refused. */
  pass(): void {
    const { reason } = this;
    if (reason) throw new Problem("overloaded", `${reason}; send the request again later with the same ids`);
  }

  /** Looks now. */
  async look(): Promise<void> {
    const [streams, infos] = await Promise.all([
      Promise.all(this.#partitions.map(({ stream }) => this.#client.memory("USAGE", stream))),
      Promise.all(primariesOf(this.#client).map((node) => node.info("memory"))),
    ]);
    const memories = infos.map(parseInfo).map((info) => ({
      used: Number(info.get("used_memory")),
      max: Number(info.get("maxmemory")),
    }));
    const backlogBytes = streams.map((bytes) => bytes ?? 0);
    this.#view = {
      backlogBytes,
      forArchive: await this.#keptForArchive(backlogBytes),
      memoryBytes: memories.reduce((sum, { used }) => sum + used, 0),
      memoryShare: Math.max(0, ...memories.map(({ used, max }) => (max > 0 ? used / max : 0))),
    };
  }

  async #keptForArchive(backlogBytes: readonly number[]): Promise<Set<number>> {
    const found = new Set<number>();
    for (const [partition, { stream, kept }] of this.#partitions.entries()) {
      if ((backlogBytes[partition] ?? 0) <= BACKLOG_BYTES_MAX) continue;
      const [entries, keptEntries] = await Promise.all([this.#client.xlen(stream), this.#client.scard(kept)]);
      if (keptEntries > entries / 2) found.add(partition);
    }
    return found;
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      // While Redis cannot be asked, the last answer stands; a write would tell the caller itself.
      this.look()
        .catch(this.#onError)
        .finally(() => this.#closed || this.#schedule());
    }, LOOK_MS);
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
  }
}
