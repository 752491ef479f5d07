import { type AnswerOf, type LiveHandlers, type LiveQuery, type LiveState, Tallymark } from "../client/index.ts";
import { token } from "./rest.ts";

/** The page's connection to `/v1/live`: every feed over one socket, which comes back by itself. */
export class LiveConnection {
  readonly #client: Tallymark;
  readonly #watchers = new Set<() => void>();
  #state: LiveState = "connecting";
  #lastDataAt: number | null = null;

  constructor() {
    const apiKey = token.get();
    this.#client = new Tallymark({ url: location.origin, ...(apiKey !== null && { apiKey }) });
    // Kept for as long as the page lives, so that the connection stays and its state is known while the page is paused.
    this.#client.subscribe({ feed: "stats", every: "10s" }, { onState: (state) => this.#enter(state) });
  }

  get state(): LiveState {
    return this.#state;
  }

  /** When the newest number that is shown came, epoch ms. */
  get lastDataAt(): number | null {
    return this.#lastDataAt;
  }

  /** @returns stops watching */
  watch(onState: () => void): () => void {
    this.#watchers.add(onState);
    return () => this.#watchers.delete(onState);
  }

  /** @returns ends the subscription */
  subscribe<Q extends LiveQuery>(query: Q, { onData, onError }: Pick<LiveHandlers<AnswerOf<Q>>, "onData" | "onError">) {
    const subscription = this.#client.subscribe(query, {
      onData: (data) => {
        this.#lastDataAt = Date.now();
        onData?.(data);
      },
      ...(onError && { onError }),
    });
    return () => subscription.unsubscribe();
  }

  #enter(state: LiveState): void {
    this.#state = state;
    for (const watcher of this.#watchers) watcher();
  }
}
