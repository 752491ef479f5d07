import { Http } from "./http.ts";
import { isObject } from "./json.ts";
import { watchLeaving } from "./leaving.ts";
import { Live } from "./live.ts";
import { listKeys, lookUp, type QueryResults, runQueries } from "./lookups.ts";
import { persist, postEvents } from "./post.ts";
import { EventQueue } from "./queue.ts";
import { type Drop, Sender } from "./sender.ts";
import { Sleeper } from "./sleeper.ts";
import { type LiveHandlers, type Subscription, tell } from "./subscription.ts";
import type {
  AnswerOf,
  EventsAnswer,
  KeysParameters,
  LiveQuery,
  Query,
  SeriesAnswer,
  SeriesParameters,
  TallymarkEvent,
  TopAnswer,
  TopParameters,
  ValueAnswer,
  ValueParameters,
} from "./types.ts";
import { makeUlid } from "./ulid.ts";

export interface TallymarkOptions {
  /** The service's address, for instance `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly apiKey?: string;
  /** Told of every event that will not be counted. */
  readonly onDrop?: (drop: Drop) => void;
  /** Most events in one request; 1,000. */
  readonly batchEvents?: number;
  /** Most bytes in one request; 1 MiB. */
  readonly batchBytes?: number;
  /** How long an event waits for others to go with it, ms; 200. */
  readonly batchDelayMs?: number;
  /** Most events that wait or are under way; 100,000. */
  readonly queueEvents?: number;
  /** Most bytes of them, as JSON; 32 MiB. */
  readonly queueBytes?: number;
  /**
   * How long after its first try an event may be sent again, ms; 50 minutes. Must stay well below the service's dedupe
   * horizon (1 hour): a copy that arrives later counts again.
   */
  readonly giveUpAfterMs?: number;
  /** How long one request may take, ms; 30 seconds. */
  readonly requestTimeoutMs?: number;
}

const DEFAULTS = {
  batchEvents: 1_000,
  batchBytes: 1024 * 1024,
  batchDelayMs: 200,
  queueEvents: 100_000,
  queueBytes: 32 * 1024 * 1024,
  giveUpAfterMs: 50 * 60_000,
  requestTimeoutMs: 30_000,
} as const;

/** How long `close` waits for what is queued, and a Node process with nothing else left to do, ms. */
const CLOSE_MS = 10_000;

export interface SendOptions {
  /** `"applied"`: the answer comes once the counts are visible on every process. */
  readonly wait?: "applied";
  /** Gives up early. */
  readonly signal?: AbortSignal;
}

export interface ClientStats {
  /** Events that wait or are under way. */
  readonly queued: number;
  readonly queuedBytes: number;
  /** Tracked events that the service has taken or recognised as copies. */
  readonly acknowledged: number;
  readonly dropped: number;
  /** Requests that were made again. */
  readonly retries: number;
}

/**
 * A client of one Tallymark service. What is tracked is counted exactly once, if the process lives until it is
 * acknowledged and the tries stay within the service's dedupe horizon; what is not counted is told to `onDrop`.
 */
export class Tallymark {
  readonly #options: Required<Omit<TallymarkOptions, "apiKey" | "onDrop">> & TallymarkOptions;
  readonly #http: Http;
  readonly #queue: EventQueue;
  readonly #sender: Sender;
  readonly #live: Live;
  readonly #stop = new AbortController();
  readonly #unwatch: () => void;
  #isClosed = false;
  #dropped = 0;

  /** Throws a TypeError when an option is out of range. */
  constructor(options: TallymarkOptions) {
    const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
    this.#options = { ...DEFAULTS, ...(given as unknown as TallymarkOptions) };
    const { batchEvents, batchBytes, batchDelayMs, queueEvents, queueBytes, giveUpAfterMs } = this.#options;
    for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
      const value = this.#options[name];
      if (!(value >= (name === "batchDelayMs" ? 0 : 1))) throw new TypeError(`${name}: must be a positive number`);
    }
    this.#http = new Http(this.#options);
    this.#queue = new EventQueue({ events: queueEvents, bytes: queueBytes });
    this.#sender = new Sender({
      http: this.#http,
      queue: this.#queue,
      batch: { events: batchEvents, bytes: batchBytes },
      batchDelayMs,
      giveUpAfterMs,
      onDrop: (drop) => this.#drop(drop),
    });
    this.#live = new Live(this.#http);
    this.#unwatch = watchLeaving({
      onHidden: () => this.#sender.leave(),
      onIdle: () => {
        if (this.#queue.events > 0) void this.#drain(CLOSE_MS);
      },
    });
  }

  /**
   * Queues an event and returns at once; it is sent with others soon. Never throws: what cannot be queued is told to
   * `onDrop`.
   *
   * @returns the event's id
   */
  track(event: TallymarkEvent): string {
    const now = Date.now();
    const id = event?.id ?? makeUlid(now);
    const fail = (reason: Drop["reason"], detail: string) =>
      this.#drop({ reason, events: [event], code: reason, detail });
    if (this.#isClosed) fail("closed", "the client is closed");
    else {
      const text = serialize(event, id);
      if (text === null) fail("unserializable", "the event must be an object of which JSON can be made");
      else if (this.#queue.add(text, now)) this.#sender.added();
      else fail("queue_full", "more waits than queueEvents or queueBytes allow");
    }
    return id;
  }

  /** Resolves once everything that was tracked before is acknowledged or dropped. */
  flush(): Promise<void> {
    return this.#sender.flush();
  }

  /**
   * Sends events in one request of their own, trying again with the same ids while that may help. At most 10,000 events
   * and 8 MiB. Throws a TallymarkError: refused (`problem.rejected` says why, event by event), or no success in time.
   */
  async send(events: TallymarkEvent | readonly TallymarkEvent[], options: SendOptions = {}): Promise<EventsAnswer> {
    const now = Date.now();
    const texts = [events].flat().map((event: TallymarkEvent) => {
      const text = serialize(event, event?.id ?? makeUlid(now));
      if (text === null) throw new TypeError("an event must be an object of which JSON can be made");
      return text;
    });
    const signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
    const giveUpAt = now + this.#options.giveUpAfterMs;
    const attempt = () => postEvents(this.#http, texts, { wait: options.wait, signal });
    return persist(attempt, { sleeper: new Sleeper(true), giveUpAt, signal, onRetry: () => {} });
  }

  /** One number over a span. */
  value(counter: string, parameters: ValueParameters = {}, signal?: AbortSignal): Promise<ValueAnswer> {
    return lookUp(this.#http, counter, "value", { ...parameters }, signal);
  }

  /** A number for every bucket of a span. */
  series(counter: string, parameters: SeriesParameters = {}, signal?: AbortSignal): Promise<SeriesAnswer> {
    return lookUp(this.#http, counter, "series", { ...parameters }, signal);
  }

  /** The largest keys of a span. */
  top(counter: string, parameters: TopParameters = {}, signal?: AbortSignal): Promise<TopAnswer> {
    return lookUp(this.#http, counter, "top", { ...parameters }, signal);
  }

  /** All keys with data, in byte order; further pages are asked for as they are needed. */
  keys(counter: string, parameters: KeysParameters = {}, signal?: AbortSignal): AsyncIterable<readonly string[]> {
    return listKeys(this.#http, counter, parameters, signal);
  }

  /** Up to 1,000 lookups in one request. Each result is the answer of its query, or a TallymarkError. */
  query<const Queries extends readonly Query[]>(
    queries: Queries,
    signal?: AbortSignal,
  ): Promise<QueryResults<Queries>> {
    return runQueries(this.#http, queries, signal);
  }

  /** Follows a lookup, over one connection for all of a client's subscriptions; it is made again when it breaks. */
  subscribe<const Q extends LiveQuery>(query: Q, handlers: LiveHandlers<AnswerOf<Q>>): Subscription {
    if (this.#isClosed) throw new TypeError("the client is closed");
    return this.#live.subscribe(query, handlers);
  }

  get stats(): ClientStats {
    return {
      queued: this.#queue.events,
      queuedBytes: this.#queue.bytes,
      acknowledged: this.#sender.acknowledged,
      dropped: this.#dropped,
      retries: this.#sender.retries,
    };
  }

  /** Takes no more events, sends what is queued for up to `timeoutMs` (10 s), and drops what is left. */
  async close({ timeoutMs = CLOSE_MS }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#isClosed = true;
    this.#live.close();
    await this.#drain(timeoutMs);
    this.#stop.abort();
    this.#sender.stop();
    this.#unwatch();
  }

  async #drain(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.#sender.flush(), timeout]);
    clearTimeout(timer);
    const left = this.#queue.peek(Number.POSITIVE_INFINITY);
    this.#sender.drop("closed", left, "closed", `not acknowledged within ${timeoutMs} ms of the end`);
  }

  #drop(drop: Drop): void {
    this.#dropped += drop.events.length;
    tell(this.#options.onDrop, drop);
  }
}

function serialize(event: TallymarkEvent, id: string): string | null {
  try {
    return isObject(event) ? JSON.stringify({ ...(event as object), id }) : null;
  } catch {
    return null;
  }
}
