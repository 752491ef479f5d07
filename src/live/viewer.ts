import type { Problem } from "../core/problem.ts";
import { BEHIND_BYTES, BUFFERED_BYTES_MAX, CLOSE_TOO_SLOW } from "./limits.ts";
import type { Frame } from "./protocol.ts";

/** One viewer's connection. */
export interface Sink {
  /** Bytes that were sent and that the operating system has not taken yet. */
  readonly buffered: number;
  /** @param onWritten called once the operating system has taken it, or never will */
  send(frame: Frame, onWritten: () => void): void;
  close(code: number, reason: string): void;
}

/** A subscription of a viewer, which asks for its next frame when it can take one. */
export interface Watch {
  readonly id: string;
  join(): void;
  /** The next frame, which counts as sent. */
  take(): Frame;
  /** Nothing is told from here on. */
  leave(): void;
}

/** The subscriptions of one connection, and the order in which its frames go out. */
export class Viewer {
  readonly #sink: Sink;
  readonly #onFrame: () => void;
  readonly #watches = new Map<string, Watch>();
  /** Those with news that the viewer could not take when it came. */
  readonly #behind = new Set<Watch>();

  /** @param onFrame called for every frame that is sent */
  constructor(sink: Sink, onFrame: () => void) {
    this.#sink = sink;
    this.#onFrame = onFrame;
  }

  get subscriptions(): number {
    return this.#watches.size;
  }

  get buffered(): number {
    return this.#sink.buffered;
  }

  has(id: string): boolean {
    return this.#watches.has(id);
  }

  /** A subscription of the same id is replaced. */
  add(watch: Watch): void {
    const before = this.#watches.get(watch.id);
    this.#watches.set(watch.id, watch);
    // Before the other leaves: a topic without watchers ends, and it may be the same one.
    watch.join();
    if (before) this.#leave(before);
  }

  unsubscribe(id: string): boolean {
    const watch = this.#watches.get(id);
    if (watch) this.drop(watch);
    return watch !== undefined;
  }

  drop(watch: Watch): void {
    if (this.#watches.get(watch.id) === watch) this.#watches.delete(watch.id);
    this.#leave(watch);
  }

  #leave(watch: Watch): void {
    this.#behind.delete(watch);
    watch.leave();
  }

  /** There is something to take: at once, or when the viewer has caught up. */
  offer(watch: Watch): void {
    if (this.#watches.get(watch.id) !== watch) return;
    if (this.#sink.buffered > BEHIND_BYTES) this.#behind.add(watch);
    else this.#send(watch.take());
    this.#closeIfTooSlow();
  }

  fail(id: string | null, problem: Problem): void {
    this.#send({ id, event: "error", body: JSON.stringify(problem.toDocument()) });
    this.#closeIfTooSlow();
  }

  #send(frame: Frame): void {
    this.#onFrame();
    this.#sink.send(frame, () => this.#catchUp());
  }

  #catchUp(): void {
    for (const watch of this.#behind) {
      if (this.#sink.buffered > BEHIND_BYTES) return;
      this.#behind.delete(watch);
      this.#send(watch.take());
    }
  }

  #closeIfTooSlow(): void {
    if (this.#sink.buffered > BUFFERED_BYTES_MAX) this.#sink.close(CLOSE_TOO_SLOW, "more waits than may be buffered");
  }

  /** Ends all subscriptions; the connection is closed, or being closed. */
  end(): void {
    for (const watch of [...this.#watches.values()]) this.drop(watch);
  }
}
