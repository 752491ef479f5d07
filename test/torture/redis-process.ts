import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../support/ports.ts";
import { end, spawnRedis } from "../support/redis-process.ts";

/**
 * While an fsync is under way, `everysec` holds writes back and answers all the same, so that a kill in that moment
 * loses what was acknowledged. That is a stalled disk, which is documented, and none of the faults here: in memory an
 * fsync takes no time.
 */
const DATA_PARENT = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A private Redis server as a process that can be killed, frozen and started again on the same data. */
export class RedisProcess {
  readonly port: number;
  /** Straight to the server, past every fault of the network. Never sends a command twice. */
  readonly client: Redis;
  readonly #directory: string;
  #child: ChildProcess | null = null;
  #expectEnd = false;
  readonly onUnexpectedEnd: (how: string) => void;

  private constructor(port: number, directory: string, onUnexpectedEnd: (how: string) => void) {
    this.port = port;
    this.#directory = directory;
    this.onUnexpectedEnd = onUnexpectedEnd;
    this.client = new Redis({
      host: "127.0.0.1",
      port,
      lazyConnect: true,
      retryStrategy: () => 50,
      maxRetriesPerRequest: 0,
    });
    this.client.on("error", () => {});
  }

  static async start(onUnexpectedEnd: (how: string) => void): Promise<RedisProcess> {
    const directory = await mkdtemp(join(DATA_PARENT, "tallymark-torture-redis-"));
    const redis = new RedisProcess(await freePort(), directory, onUnexpectedEnd);
    await redis.start();
    return redis;
  }

  async start(): Promise<void> {
    this.#expectEnd = false;
    const child = await spawnRedis([], {
      port: this.port,
      dir: this.#directory,
      appendfsync: "everysec",
      "set-max-intset-entries": 4_096,
    });
    child.on("exit", (code, signal) => {
      if (!this.#expectEnd) this.onUnexpectedEnd(`Redis ended with ${code ?? signal}`);
    });
    this.#child = child;
    await this.untilUp();
  }

  /** Until it answers and has loaded its data. */
  async untilUp(): Promise<void> {
    for (;;) {
      if (await this.client.ping().catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    this.#expectEnd = true;
    await end(this.#child as ChildProcess);
  }

  async remove(): Promise<void> {
    this.client.disconnect();
    if (this.#child) await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
