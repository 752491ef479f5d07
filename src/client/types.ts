/** An event as `POST /v1/events` takes it. */
export interface TallymarkEvent {
  /** Identifies the event together with `source`. Absent: the client makes a ULID, the same in every try. */
  readonly id?: string;
  readonly source?: string;
  readonly type: string;
  /** RFC 3339 or epoch milliseconds. Absent: the time inside a ULID or UUIDv7 `id`, else arrival. */
  readonly time?: string | number;
  readonly subject?: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** One event that the service refused. */
export interface RejectedEvent {
  /** Its place in the request. */
  readonly index: number;
  readonly id?: string;
  readonly code: string;
  readonly detail: string;
}

/** Answer of `POST /v1/events`. The four that `wait: "applied"` adds sum up to `accepted`; absent: queued alone. */
export interface EventsAnswer {
  readonly accepted: number;
  readonly applied?: number;
  readonly duplicates?: number;
  readonly late?: number;
  readonly dead?: number;
  readonly rejected: readonly RejectedEvent[];
}

/** A number; a decimal string beyond 2^53−1 (of millionths, for sums). */
export type BigNumber = number | string;

export interface Numbers {
  readonly count: BigNumber;
  /** Where the counter keeps one. */
  readonly sum?: BigNumber;
  readonly unique?: number;
}

/** The span of an answer; times are RFC 3339 in UTC. */
export interface SpanAnswer {
  readonly counter: string;
  readonly from: string;
  readonly to: string;
  /** How far the counter's event time has come; `null` before its first event. */
  readonly watermark: string | null;
  /** Only a readmission can change the answer. */
  readonly final: boolean;
}

export interface ValueAnswer extends SpanAnswer, Numbers {
  readonly key: readonly string[] | null;
  readonly other?: true;
}

export interface SeriesAnswer extends ValueAnswer {
  readonly window: string;
  readonly buckets: readonly (Numbers & { readonly start: string; readonly final: boolean })[];
}

export interface TopAnswer extends SpanAnswer {
  readonly top: readonly {
    readonly key: readonly string[];
    readonly count: BigNumber;
    readonly sum?: BigNumber;
  }[];
}

export interface StatsAnswer {
  readonly time: string;
  readonly eventsPerSecond: number;
  readonly backlog: number;
  readonly counters: readonly {
    readonly counter: string;
    readonly watermark: string | null;
    readonly lagMs: number | null;
  }[];
}

/** A transition of one instance of an alert; `docs/alerts.md` describes it. */
export interface AlertEvent {
  readonly id: string;
  readonly type: "firing" | "resolved";
  readonly time: string;
  /** Id of the rule. */
  readonly alert: string;
  readonly name: string;
  readonly counter: string;
  /** `null` for the total. */
  readonly key: readonly string[] | null;
  readonly measure: string;
  readonly op: string;
  readonly threshold: number;
  readonly value: number | null;
  readonly since: string;
}

/** The transitions that came since the frame before, in order. */
export interface AlertsAnswer {
  readonly events: readonly AlertEvent[];
  /** Where to go on from. */
  readonly last: string;
}

/** `last` or `from` and `to`. */
export interface SpanParameters {
  /** Duration, for instance `"5m"`; ends with the bucket of the counter's newest event time. */
  readonly last?: string;
  /** RFC 3339 or epoch milliseconds. */
  readonly from?: string | number;
  /** Exclusive. */
  readonly to?: string | number;
}

export interface ValueParameters extends SpanParameters {
  /** One value for each `by` field, in order; absent: the total over all keys. */
  readonly key?: readonly string[];
  /** The keys refused by `keysMax`, together. */
  readonly other?: boolean;
}

export interface SeriesParameters extends ValueParameters {
  /** Absent: the counter's finest. */
  readonly window?: string;
}

export interface TopParameters extends SpanParameters {
  readonly limit?: number;
  readonly by?: "count" | "sum";
}

export interface KeysParameters {
  /** Of the first field. */
  readonly prefix?: string;
}

export type ValueQuery = ValueParameters & { readonly feed: "value"; readonly counter: string };
export type SeriesQuery = SeriesParameters & { readonly feed: "series"; readonly counter: string };
export type TopQuery = TopParameters & { readonly feed: "top"; readonly counter: string };
/** An element of `POST /v1/query`. */
export type Query = ValueQuery | SeriesQuery | TopQuery;

export interface AlertsQuery {
  readonly feed: "alerts";
  /** Id of the last transition that was seen. */
  readonly after?: string;
}

/** What can be subscribed to; `every`: at most one update per so long, `"100ms"` to `"1m"`. */
export type LiveQuery = (Query | AlertsQuery | { readonly feed: "stats" }) & { readonly every?: string };

/** The data of a feed. */
export type AnswerOf<Q extends { readonly feed: string }> = Q extends { readonly feed: "value" }
  ? ValueAnswer
  : Q extends { readonly feed: "series" }
    ? SeriesAnswer
    : Q extends { readonly feed: "top" }
      ? TopAnswer
      : Q extends { readonly feed: "stats" }
        ? StatsAnswer
        : Q extends { readonly feed: "alerts" }
          ? AlertsAnswer
          : never;
