import type { Problem } from "../core/problem.ts";
import { toProblem } from "../http/problems.ts";
import { FRESH_MS } from "./limits.ts";

/** Told of a topic what there is to tell; pulls the data itself, when it can take it. */
export interface Watcher {
  /** There may be something new. */
  changed(): void;
  /** Reading failed, again perhaps. After a lasting problem, which no later try can mend, nothing more comes. */
  failed(problem: Problem, isLasting: boolean): void;
}

export interface TopicOptions {
  readonly everyMs: number;
  /** Reads what the topic shows now. */
  readonly read: (signal: AbortSignal) => Promise<object>;
  /** Called once nobody watches any more, and when a lasting problem has ended it. */
  readonly onEnd: () => void;
  /** An error that is our own mistake, for the log. */
  readonly onFault: (error: unknown) => void;
}

/** Why no later try may succeed: the request itself is at fault. */
const isLasting = ({ status }: Problem) => status < 500;

/**
 * One distinct subscription: read once per tick, however many watch it. Holds the newest answer alone.
 *
 * Modes: idle → reading → idle …, until ended.
 */
export class Topic {
  readonly #options: TopicOptions;
  readonly #watchers = new Set<Watcher>();
  readonly #ended = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  #isReading = false;
  #readAt = Number.NEGATIVE_INFINITY;
  #text: string | null = null;
  #version = 0;
  #problem: Problem | null = null;

  constructor(options: TopicOptions) {
    this.#options = options;
  }

  /** Rises with every answer that differs from the one before; 0 before the first. */
  get version(): number {
    return this.#version;
  }

  /** The newest answer as JSON; `null` before the first. */
  get text(): string | null {
    return this.#text;
  }

  join(watcher: Watcher): void {
    this.#watchers.add(watcher);
    if (performance.now() - this.#readAt > FRESH_MS) this.#tick();
    else if (this.#problem) watcher.failed(this.#problem, false);
    else watcher.changed();
  }

  leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size === 0) this.end();
  }

  /** Nothing is read or told from here on. */
  end(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    if (this.#timer) clearTimeout(this.#timer);
    this.#watchers.clear();
    this.#options.onEnd();
  }

  #tick(): void {
    if (this.#isReading) return;
    if (this.#timer) clearTimeout(this.#timer);
    this.#isReading = true;
    const began = performance.now();
    this.#read()
      .then((problem) => this.#tell(problem))
      .finally(() => {
        this.#isReading = false;
        if (this.#ended.signal.aborted) return;
        const rest = this.#options.everyMs - (performance.now() - began);
        this.#timer = setTimeout(() => this.#tick(), Math.max(0, rest));
      });
  }

  async #read(): Promise<Problem | null> {
    try {
      const text = JSON.stringify(await this.#options.read(this.#ended.signal));
      if (text !== this.#text) {
        this.#text = text;
        this.#version++;
      }
      return null;
    } catch (error) {
      const problem = toProblem(error);
      if (problem.code === "internal" && !this.#ended.signal.aborted) this.#options.onFault(error);
      return problem;
    }
  }

  #tell(problem: Problem | null): void {
    if (this.#ended.signal.aborted) return;
    this.#problem = problem;
    this.#readAt = performance.now();
    for (const watcher of [...this.#watchers]) {
      if (problem) watcher.failed(problem, isLasting(problem));
      else watcher.changed();
    }
    if (problem && isLasting(problem)) this.end();
  }
}
