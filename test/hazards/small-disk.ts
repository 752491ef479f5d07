import { type ChildProcess, execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../support/ports.ts";
import { end, spawnRedis } from "../support/redis-process.ts";

const SIZE = "16m";
const BLOCK = Buffer.alloc(256 * 1024);

/** A real file system that can be filled without harm to any other. */
export class SmallDisk {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** The text is why there can be none: mounting takes root and Linux. */
  static mount(): SmallDisk | string {
    const directory = mkdtempSync(join(tmpdir(), "tallymark-disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "tmpfs", directory], { stdio: "pipe" });
      return new SmallDisk(directory);
    } catch (error) {
      rmSync(directory, { recursive: true });
      return `cannot mount a small disk: ${(error as Error).message}`;
    }
  }

  /** Leaves about so many bytes free. */
  fillUpTo(free: number): void {
    const file = openSync(this.#ballast, "a");
    while (this.#free > free + BLOCK.length) writeSync(file, BLOCK);
    closeSync(file);
  }

  makeRoom(): void {
    rmSync(this.#ballast);
  }

  get #ballast(): string {
    return join(this.directory, "ballast");
  }

  get #free(): number {
    const { bavail, bsize } = statfsSync(this.directory);
    return bavail * bsize;
  }

  unmount(): void {
    execFileSync("umount", [this.directory]);
    rmSync(this.directory, { recursive: true });
  }
}

/** A Redis of a test's own, with its append-only file in a given directory, on a TCP port that it keeps. */
export class RedisOnDisk {
  readonly port: number;
  readonly #directory: string;
  readonly #durability: string;
  #process: ChildProcess | null = null;

  private constructor(port: number, directory: string, durability: string) {
    this.port = port;
    this.#directory = directory;
    this.#durability = durability;
  }

  static async start(directory: string, durability: string): Promise<RedisOnDisk> {
    const redis = new RedisOnDisk(await freePort(), directory, durability);
    await redis.startUnlessRunning();
    return redis;
  }

  get isRunning(): boolean {
    return this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** As whoever runs Redis would, once the cause is removed. */
  async startUnlessRunning(): Promise<void> {
    if (this.isRunning) return;
    this.#process = await spawnRedis([], {
      port: this.port,
      dir: this.#directory,
      appendfsync: this.#durability,
      "auto-aof-rewrite-percentage": 0,
    });
    const client = new Redis({
      port: this.port,
      host: "127.0.0.1",
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
    });
    client.on("error", () => {});
    await client.ping();
    client.disconnect();
  }

  async stop(): Promise<void> {
    if (this.#process) await end(this.#process);
  }
}
