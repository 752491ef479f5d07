import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { RedisTarget } from "../redis/client.ts";

/** The built entry, from here and from the built `thread.js` alike. */
const ENTRY = fileURLToPath(new URL("../../dist/stream/thread-entry.js", import.meta.url));
/** A thread that does not tell of itself for so long, ms, is at something that it should not be at. */
const REPORT_MAX_MS = 5_000;

export interface ThreadSettings {
  readonly redis: RedisTarget;
  readonly partitions: number;
  readonly dedupeHorizonMs: number;
  readonly logLevel: string;
}

/** What the thread is asked for, in this order; a report is sent through the port that comes with its request. */
export type ThreadRequest =
  | { readonly do: "start"; readonly settings: ThreadSettings }
  | { readonly do: "report"; readonly to: MessagePort }
  | { readonly do: "stop" };

export interface ThreadReport {
  /** In Prometheus's exposition format. */
  readonly metrics: string;
  /** Partitions stopped by an error that needs a person. */
  readonly stoppedPartitions: number;
}

/**
 * The workers of a process, in a thread with connections and a copy of the definitions of its own: counting and requests
 * hold each other up no more than those of two processes would.
 */
export class WorkerThread {
  readonly #worker = new Worker(ENTRY);
  readonly #exited: Promise<void>;
  #isStopping = false;
  /** Why it has ended, if it has. */
  #end: string | null = null;

  /**
   * Loads its code. `onFatal`: it has ended by itself, which nothing that happens to Redis or to events should make it do.
   */
  constructor(onFatal: (reason: string) => void) {
    this.#exited = new Promise((resolve) => this.#worker.once("exit", () => resolve()));
    let reason = "without a reason";
    this.#worker.on("error", (error) => {
      reason = error instanceof Error ? String(error.stack) : String(error);
    });
    this.#worker.on("exit", () => {
      this.#end = `the workers' thread has ended: ${reason}`;
      if (!this.#isStopping) onFatal(this.#end);
    });
  }

  /** Resolves when the workers have begun; rejects when they could not. */
  async start(settings: ThreadSettings): Promise<void> {
    this.#ask({ do: "start", settings });
    await Promise.race([once(this.#worker, "message"), this.#exited]);
    if (this.#end !== null) throw new Error(this.#end);
  }

  /** Rejects when it does not answer. */
  async report(): Promise<ThreadReport> {
    if (this.#end !== null) throw new Error(this.#end);
    const { port1, port2 } = new MessageChannel();
    try {
      this.#ask({ do: "report", to: port2 }, port2);
      const [report] = await once(port1, "message", { signal: AbortSignal.timeout(REPORT_MAX_MS) });
      return report;
    } catch (error) {
      throw new Error("the workers' thread does not answer", { cause: error });
    } finally {
      port1.close();
    }
  }

  /** Finishes the batches under way and gives the leases back. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#ask({ do: "stop" });
    await this.#exited;
  }

  /** Ends it whatever it is at: as a crash would, which harms nothing. */
  async kill(): Promise<void> {
    this.#isStopping = true;
    await this.#worker.terminate();
  }

  #ask(request: ThreadRequest, ...transferred: MessagePort[]): void {
    this.#worker.postMessage(request, transferred);
  }
}
