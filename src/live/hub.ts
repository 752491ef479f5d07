import pLimit from "p-limit";
import { Problem } from "../core/problem.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Lookups } from "../query/lookups.ts";
import { runQuery } from "../query/query.ts";
import { CLOSE_GOING_AWAY, READS_AT_ONCE, SUBSCRIPTIONS_MAX } from "./limits.ts";
import { parseEvery, type Subscription } from "./protocol.ts";
import type { Stats } from "./stats.ts";
import { Topic } from "./topic.ts";
import { type Sink, Viewer } from "./viewer.ts";
import { type EventLog, LogWatch, StateWatch } from "./watches.ts";

export interface HubDependencies {
  readonly lookups: Lookups;
  readonly registry: CounterRegistry;
  readonly stats: Stats;
  /** Transitions of alerts. */
  readonly alerts: EventLog;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** All viewers of a process and what they look at: equal subscriptions share a topic, and so one read per tick. */
export class Hub {
  readonly #deps: HubDependencies;
  readonly #topics = new Map<string, Topic>();
  readonly #viewers = new Map<Viewer, Sink>();
  readonly #limit = pLimit(READS_AT_ONCE);

  constructor(deps: HubDependencies) {
    this.#deps = deps;
    deps.metrics.liveHoldings = () => ({
      subscriptions: this.#sum((viewer) => viewer.subscriptions),
      bufferedBytes: this.#sum((viewer) => viewer.buffered),
    });
  }

  #sum(of: (viewer: Viewer) => number): number {
    return [...this.#viewers.keys()].reduce((sum, viewer) => sum + of(viewer), 0);
  }

  enter(sink: Sink): Viewer {
    const viewer = new Viewer(sink, () => this.#deps.metrics.liveFrames.inc());
    this.#viewers.set(viewer, sink);
    this.#deps.metrics.liveClients.set(this.#viewers.size);
    return viewer;
  }

  leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    this.#deps.metrics.liveClients.set(this.#viewers.size);
    viewer.end();
  }

  /** Throws a Problem when the viewer has too many subscriptions; what else is wrong comes as an error frame. */
  subscribe(viewer: Viewer, id: string, subscription: Subscription): void {
    if (viewer.subscriptions >= SUBSCRIPTIONS_MAX && !viewer.has(id)) {
      throw new Problem("invalid_parameter", `id: a connection has at most ${SUBSCRIPTIONS_MAX} subscriptions`);
    }
    viewer.add(this.#watch(viewer, id, subscription));
  }

  #watch(viewer: Viewer, id: string, subscription: Subscription): StateWatch | LogWatch {
    if (subscription.feed !== "alerts") return new StateWatch(viewer, id, this.#topic(subscription));
    const { after, ...rest } = subscription;
    return new LogWatch(viewer, id, this.#topic(rest), this.#deps.alerts, after ?? null);
  }

  #topic(subscription: Subscription): Topic {
    const name = nameOf(subscription);
    let topic = this.#topics.get(name);
    if (!topic) {
      topic = new Topic({
        everyMs: parseEvery(subscription.every),
        read: (signal) => this.#limit(() => this.#read(subscription, signal)),
        onEnd: () => this.#forget(name),
        onFault: (error) => this.#deps.log.error({ err: error, subscription }, "a live feed failed"),
      });
      this.#topics.set(name, topic);
      this.#deps.metrics.liveTopics.set(this.#topics.size);
    }
    return topic;
  }

  #forget(name: string): void {
    this.#topics.delete(name);
    this.#deps.metrics.liveTopics.set(this.#topics.size);
  }

  async #read(subscription: Subscription, signal: AbortSignal): Promise<object> {
    const { lookups, registry, stats, alerts, metrics } = this.#deps;
    const stop = metrics.liveReadSeconds.startTimer({ feed: subscription.feed });
    try {
      if (subscription.feed === "stats") return await stats.read();
      if (subscription.feed === "alerts") return { last: (await alerts.read(null, 1)).last };
      return await runQuery(lookups, registry, subscription, signal);
    } finally {
      stop();
    }
  }

  /** Closes all connections: clients connect again, to another process or to this one's successor. */
  stop(): void {
    for (const [viewer, sink] of [...this.#viewers]) {
      this.leave(viewer);
      sink.close(CLOSE_GOING_AWAY, "the service stops");
    }
  }
}

/** Equal for subscriptions that show the same at the same pace. */
function nameOf({ every, ...subscription }: Subscription): string {
  const fields = Object.entries(subscription).filter(([, value]) => value !== undefined && value !== null);
  return JSON.stringify([parseEvery(every), ...fields.sort(([a], [b]) => (a < b ? -1 : 1))]);
}
