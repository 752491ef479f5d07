import { Cluster } from "ioredis";
import { BACKLOG_BYTES_MAX, MEMORY_SHARE_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseInfo } from "../redis/deployment.ts";
import type { PartitionKeys } from "../redis/keys.ts";

/** How often the backlog and the memory are looked at, ms. */
const LOOK_MS = 250;

/**
 * Refuses events while too many wait or Redis is too full. What was accepted is never trimmed or evicted, so this is
 * the only place where load can be turned away.
 */
export class Gate {
  readonly #client: RedisClient;
  readonly #partitions: readonly PartitionKeys[];
  readonly #onError: (error: unknown) => void;
  #reason: string | null = null;
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
    return this.#reason;
  }

  /** Throws a Problem `overloaded` while events are refused. */
  pass(): void {
    if (this.#reason)
      throw new Problem("overloaded", `${this.#reason}; send the request again later with the same ids`);
  }

  /** Looks now. */
  async look(): Promise<void> {
    this.#reason = (await this.#backlogReason()) ?? (await this.#memoryReason());
  }

  async #backlogReason(): Promise<string | null> {
    const bytes = await Promise.all(this.#partitions.map(({ stream }) => this.#client.memory("USAGE", stream)));
    const full = bytes.findIndex((waiting) => (waiting ?? 0) > BACKLOG_BYTES_MAX);
    return full < 0 ? null : `more than ${BACKLOG_BYTES_MAX} bytes of events wait on partition ${full}`;
  }

  async #memoryReason(): Promise<string | null> {
    for (const node of this.#client instanceof Cluster ? this.#client.nodes("master") : [this.#client]) {
      const info = parseInfo(await node.info("memory"));
      const [used, max] = [Number(info.get("used_memory")), Number(info.get("maxmemory"))];
      if (max > 0 && used > max * MEMORY_SHARE_MAX)
        return `Redis uses more than ${MEMORY_SHARE_MAX * 100} % of its maxmemory`;
    }
    return null;
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
