import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import type { Member } from "./member.ts";
import type { Query } from "./reader.ts";

const VIEWERS = 20;
/** Of them, those that stop reading at once. */
const FROZEN = 2;
const RETRY_MS = 200;

/** What viewers look at: the whole of a run, so that the newest answer is what the service holds. */
function subscriptions(now: number): Query[] {
  const span = { from: now - 3_600_000, to: now + 3_600_000 };
  return [
    { feed: "value", counter: "views", ...span },
    { feed: "value", counter: "everything", ...span },
    { feed: "top", counter: "views", limit: 20, ...span },
    { feed: "top", counter: "capped", limit: 5, ...span },
    { feed: "series", counter: "views", window: "1m", ...span },
    { feed: "series", counter: "sales", window: "30s", ...span },
  ];
}

/** One viewer, which connects again whenever its connection ends. */
export class Viewer {
  readonly query: Query;
  readonly isFrozen: boolean;
  /** The newest answer that came. */
  newest: unknown = null;
  #stopped = false;
  #socket: WebSocket | null = null;

  constructor(query: Query, isFrozen: boolean) {
    this.query = query;
    this.isFrozen = isFrozen;
  }

  async run(member: Member): Promise<void> {
    while (!this.#stopped) {
      if (member.url) await this.#watch(member.url);
      await delay(RETRY_MS);
    }
  }

  #watch(url: string): Promise<void> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/live`);
    this.#socket = socket;
    socket.on("open", () => {
      socket.send(JSON.stringify({ op: "subscribe", id: "a", every: "500ms", ...this.query }));
      if (this.isFrozen) socket.pause();
    });
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as { event: string; data?: unknown };
      if (frame.event !== "error") this.newest = frame.data;
    });
    socket.on("error", () => undefined);
    return new Promise((resolve) => socket.on("close", () => resolve()));
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.terminate();
  }
}

/** All viewers of a run. */
export class Viewers {
  readonly all: readonly Viewer[];
  readonly #running: Promise<void>;

  constructor(members: readonly Member[]) {
    const queries = subscriptions(Date.now());
    this.all = Array.from({ length: VIEWERS }, (_, i) => new Viewer(queries[i % queries.length] as Query, i < FROZEN));
    this.#running = Promise.all(this.all.map((viewer, i) => viewer.run(members[i % members.length] as Member))).then(
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    for (const viewer of this.all) viewer.stop();
    await this.#running;
  }
}
