import { retryDelay } from "./backoff.ts";
import { TallymarkError } from "./errors.ts";
import type { Http } from "./http.ts";
import { isObject, parseJson } from "./json.ts";
import { Sleeper } from "./sleeper.ts";
import { closeSocket, OPEN, type Socket, socketClass } from "./socket.ts";
import { type LiveHandlers, LiveSubscription, type Subscription } from "./subscription.ts";
import type { AnswerOf, LiveQuery } from "./types.ts";

/** A connection on which nothing came for this long is asked for a sign of life, ms. */
const QUIET_MS_MAX = 20_000;
/** One that gives none, or cannot be made, within this is given up, ms. */
const PATIENCE_MS = 10_000;
/** A connection that lasted this long, ms, was a good one: the next failure counts as the first. */
const GOOD_AFTER_MS = 10_000;

/**
 * Browsers show no pings, so a sign of life is an answer to a question: whatever the service says of a feed that does not
 * exist.
 */
const PROBE = JSON.stringify({ op: "subscribe", id: "probe", feed: "probe" });

const REFUSALS: ReadonlySet<number> = new Set([401, 403]);

/** One stretch of having subscriptions: connects, again and again, until it is over. */
interface Run {
  socket: Socket | null;
  isOver: boolean;
  readonly backoff: Sleeper;
}

interface End {
  readonly reason: string;
  readonly lastedMs: number;
}

/** All subscriptions of a client, over one connection that is there while there are any. */
export class Live {
  readonly #http: Http;
  readonly #quietMs: number;
  readonly #subscriptions = new Map<string, LiveSubscription<LiveQuery>>();
  #number = 0;
  #run: Run | null = null;

  constructor(http: Http, quietMs: number = QUIET_MS_MAX) {
    this.#http = http;
    this.#quietMs = quietMs;
  }

  subscribe<Q extends LiveQuery>(query: Q, handlers: LiveHandlers<AnswerOf<Q>>): Subscription {
    const id = `s${++this.#number}`;
    const subscription = new LiveSubscription(id, query, handlers, () => this.#ended(id));
    this.#subscriptions.set(id, subscription as unknown as LiveSubscription<LiveQuery>);
    if (this.#run === null) {
      this.#run = { socket: null, isOver: false, backoff: new Sleeper(true) };
      void this.#stayConnected(this.#run);
    } else if (this.#run.socket?.readyState === OPEN) {
      this.#run.socket.send(subscription.frame());
      // Told after `subscribe` has returned, as at every other time.
      queueMicrotask(() => subscription.enter("open"));
    }
    return subscription;
  }

  close(): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.end();
  }

  #ended(id: string): void {
    this.#subscriptions.delete(id);
    const run = this.#run;
    if (run === null) return;
    if (this.#subscriptions.size > 0) {
      if (run.socket?.readyState === OPEN) run.socket.send(JSON.stringify({ op: "unsubscribe", id }));
      return;
    }
    this.#run = null;
    run.isOver = true;
    run.backoff.wake();
    if (run.socket) closeSocket(run.socket);
  }

  async #stayConnected(run: Run): Promise<void> {
    for (let failures = 1; !run.isOver; failures++) {
      const { reason, lastedMs } = await this.#connect(run);
      if (run.isOver) return;
      if (lastedMs >= GOOD_AFTER_MS) failures = 1;
      this.#enterAll("reconnecting", reason);
      // A WebSocket that was never open does not tell why.
      if (lastedMs <= 0) void this.#endIfRefused(run);
      await run.backoff.sleep(retryDelay(failures, null));
    }
  }

  /** Ends all subscriptions when the service lets nobody in with this key: no later try could mend that. */
  async #endIfRefused(run: Run): Promise<void> {
    const refusal = await this.#http.json("/v1/live").catch((error: unknown) => error);
    if (run.isOver || !(refusal instanceof TallymarkError) || !REFUSALS.has(refusal.status)) return;
    for (const subscription of [...this.#subscriptions.values()]) subscription.fail(refusal);
  }

  /** Resolves when the connection has ended, or could not be made. */
  async #connect(run: Run): Promise<End> {
    try {
      const SocketClass = await socketClass();
      if (run.isOver) return { reason: "", lastedMs: 0 };
      run.socket = new SocketClass(this.#http.socketAddress("/v1/live"));
    } catch (error) {
      return { reason: (error as Error).message, lastedMs: 0 };
    }
    const end = await this.#converse(run, run.socket);
    run.socket = null;
    return end;
  }

  #converse(run: Run, socket: Socket): Promise<End> {
    return new Promise((resolve) => {
      let openedAt = Number.POSITIVE_INFINITY;
      let failure = "";
      const end = (reason: string) => {
        watchdog.stop();
        resolve({ reason, lastedMs: Date.now() - openedAt });
      };
      const watchdog = new Watchdog(this.#quietMs, {
        onQuiet: () => socket.readyState === OPEN && socket.send(PROBE),
        onDead: () => {
          closeSocket(socket);
          end("no sign of life");
        },
      });
      watchdog.expect();
      socket.addEventListener("open", () => {
        openedAt = Date.now();
        watchdog.heard();
        for (const subscription of this.#subscriptions.values()) socket.send(subscription.frame());
        this.#enterAll("open");
      });
      socket.addEventListener("message", ({ data }) => {
        watchdog.heard();
        if (run.socket === socket) this.#receive(data);
      });
      socket.addEventListener("error", ({ message }) => {
        failure = message ?? "";
      });
      socket.addEventListener("close", ({ code, reason }) => {
        end(failure || (reason ? `closed: ${reason}` : `closed with code ${code}`));
      });
    });
  }

  #receive(data: unknown): void {
    const frame = typeof data === "string" ? parseJson(data) : undefined;
    if (isObject(frame)) this.#subscriptions.get(frame.id as string)?.receive(frame);
  }

  #enterAll(state: "open" | "reconnecting", reason?: string): void {
    for (const subscription of [...this.#subscriptions.values()]) subscription.enter(state, reason);
  }
}

/** Notices that nothing comes any more on a connection that nobody has closed. */
class Watchdog {
  readonly #quietMs: number;
  readonly #on: { readonly onQuiet: () => void; readonly onDead: () => void };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(quietMs: number, on: { onQuiet: () => void; onDead: () => void }) {
    this.#quietMs = quietMs;
    this.#on = on;
  }

  heard(): void {
    this.#set(this.#quietMs, () => {
      this.#on.onQuiet();
      this.expect();
    });
  }

  /** Something must come soon. */
  expect(): void {
    this.#set(Math.min(PATIENCE_MS, this.#quietMs), this.#on.onDead);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #set(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
