import { type ProblemDocument, TallymarkError } from "./errors.ts";
import { isObject } from "./json.ts";
import type { AnswerOf, LiveQuery } from "./types.ts";

/**
 * `connecting` → `open` → `reconnecting` → `open` …, in the end `closed`: by `unsubscribe`, by `close`, or after an error
 * that no later try can mend.
 */
export type LiveState = "connecting" | "open" | "reconnecting" | "closed";

export interface LiveHandlers<Data> {
  /** The whole state, when a subscription begins and after every reconnection. */
  readonly onSnapshot?: (data: Data) => void;
  /** The whole state, when it has changed. */
  readonly onUpdate?: (data: Data) => void;
  /** Both. */
  readonly onData?: (data: Data) => void;
  readonly onError?: (error: TallymarkError) => void;
  /** @param reason why a connection was lost or could not be made */
  readonly onState?: (state: LiveState, reason?: string) => void;
}

export interface Subscription {
  readonly state: LiveState;
  unsubscribe(): void;
}

/** Calls a user's function; what it throws surfaces as from any event handler, and ends nothing of ours. */
export function tell<A extends unknown[]>(handler: ((...args: A) => void) | undefined, ...args: A): void {
  try {
    handler?.(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** A subscription's side of the conversation, over as many connections as it takes. */
export class LiveSubscription<Q extends LiveQuery> implements Subscription {
  readonly id: string;
  readonly #query: Q;
  readonly #handlers: LiveHandlers<AnswerOf<Q>>;
  readonly #onEnd: () => void;
  #state: LiveState = "connecting";
  /** Id of the last alert transition that was seen. */
  #after: string | undefined;

  constructor(id: string, query: Q, handlers: LiveHandlers<AnswerOf<Q>>, onEnd: () => void) {
    this.id = id;
    this.#query = query;
    this.#handlers = handlers;
    this.#onEnd = onEnd;
  }

  get state(): LiveState {
    return this.#state;
  }

  /** The frame that asks for it, and, of alerts, for what came after the last that was seen. */
  frame(): string {
    const after = this.#after === undefined ? {} : { after: this.#after };
    return JSON.stringify({ ...this.#query, ...after, op: "subscribe", id: this.id });
  }

  enter(state: LiveState, reason?: string): void {
    if (this.#state === "closed") return;
    this.#state = state;
    tell(this.#handlers.onState, state, reason);
  }

  receive(frame: Readonly<Record<string, unknown>>): void {
    const { event, data, problem } = frame;
    if (this.#state === "closed") return;
    if (event === "error") this.fail(TallymarkError.ofProblem(problem as ProblemDocument));
    if (event !== "snapshot" && event !== "update") return;
    if (this.#query.feed === "alerts") this.#after = lastSeen(data) ?? this.#after;
    tell(event === "snapshot" ? this.#handlers.onSnapshot : this.#handlers.onUpdate, data as AnswerOf<Q>);
    tell(this.#handlers.onData, data as AnswerOf<Q>);
  }

  /** The service goes on trying after what may pass by itself, and has ended the subscription after anything else. */
  fail(error: TallymarkError): void {
    tell(this.#handlers.onError, error);
    if (!error.retryable) this.end();
  }

  unsubscribe(): void {
    this.end();
  }

  end(): void {
    if (this.#state === "closed") return;
    this.enter("closed");
    this.#onEnd();
  }
}

function lastSeen(data: unknown): string | undefined {
  return isObject(data) && typeof data.last === "string" ? data.last : undefined;
}
