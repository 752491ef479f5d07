import type { Problem } from "../core/problem.ts";
import { toProblem } from "../http/problems.ts";
import type { Frame } from "./protocol.ts";
import type { Topic, Watcher } from "./topic.ts";
import type { Viewer, Watch } from "./viewer.ts";

/** What both kinds of subscription share: numbered answers, and a problem that is told once until it has passed. */
abstract class NumberedWatch implements Watch, Watcher {
  readonly id: string;
  protected readonly viewer: Viewer;
  protected readonly topic: Topic;
  #seq = 0;
  protected problem: string | null = null;

  constructor(viewer: Viewer, id: string, topic: Topic) {
    this.viewer = viewer;
    this.id = id;
    this.topic = topic;
  }

  abstract changed(): void;
  abstract take(): Frame;

  join(): void {
    this.topic.join(this);
  }

  leave(): void {
    this.topic.leave(this);
  }

  failed(problem: Problem, isLasting: boolean): void {
    if (isLasting) this.viewer.drop(this);
    if (problem.code === this.problem) return;
    this.problem = problem.code;
    this.viewer.fail(this.id, problem);
  }

  protected frame(body: string): Frame {
    this.problem = null;
    const seq = this.#seq++;
    return { id: this.id, event: seq === 0 ? "snapshot" : "update", seq, body };
  }
}

/** Sees a topic's newest state whenever it can take one, never a queue of states. */
export class StateWatch extends NumberedWatch {
  #sent = 0;

  changed(): void {
    // After an error the same answer is news: it says that all is well again.
    if (this.topic.version !== this.#sent || this.problem !== null) this.viewer.offer(this);
  }

  take(): Frame {
    this.#sent = this.topic.version;
    return this.frame(this.topic.text ?? "null");
  }
}

/** A log that grows: what comes after a resume point, and the point to go on from. */
export interface EventLog {
  read(after: string | null, limit: number): Promise<{ readonly events: readonly object[]; readonly last: string }>;
}

/** Of a subscription that does not say where it goes on: how many events it begins with. */
const NEWEST = 100;
/** Events in one frame. */
const EVENTS_MAX = 500;

/** Sees every event of a log once and in order; its topic only says that there may be more. */
export class LogWatch extends NumberedWatch {
  readonly #log: EventLog;
  /** Where the next frame begins; `null` before the first. */
  #after: string | null;
  #isFirst = true;
  #seen = 0;
  #isReading = false;
  #ready: Awaited<ReturnType<EventLog["read"]>> | null = null;

  constructor(viewer: Viewer, id: string, topic: Topic, log: EventLog, after: string | null) {
    super(viewer, id, topic);
    this.#log = log;
    this.#after = after;
  }

  changed(): void {
    if (this.topic.version === this.#seen && this.problem === null) return;
    if (this.#isReading || this.#ready) return;
    this.#isReading = true;
    const version = this.topic.version;
    this.#read()
      .then(() => {
        this.#seen = version;
      })
      .catch((error) => this.failed(toProblem(error), false))
      .finally(() => {
        this.#isReading = false;
        if (this.#ready) this.viewer.offer(this);
      });
  }

  async #read(): Promise<void> {
    const found = await this.#log.read(this.#after, this.#after === null ? NEWEST : EVENTS_MAX);
    if (this.#isFirst || this.problem !== null || found.events.length > 0) this.#ready = found;
  }

  take(): Frame {
    const ready = this.#ready ?? { events: [], last: this.#after };
    this.#ready = null;
    this.#isFirst = false;
    this.#after = ready.last;
    // A full frame may not be all.
    if (ready.events.length === EVENTS_MAX) this.#seen = 0;
    queueMicrotask(() => this.changed());
    return { ...this.frame(JSON.stringify(ready)), ...(ready.last && { resume: ready.last }) };
  }
}
