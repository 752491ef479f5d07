import { retryDelay } from "./backoff.ts";
import { TallymarkError } from "./errors.ts";
import { foreignAnswer, type Http, type HttpRequest } from "./http.ts";
import { isObject } from "./json.ts";
import type { Sleeper } from "./sleeper.ts";
import type { EventsAnswer, RejectedEvent } from "./types.ts";

/** One try to send events, each given as its JSON. Throws a TallymarkError. */
export async function postEvents(
  http: Http,
  texts: readonly string[],
  { wait, ...request }: Pick<HttpRequest, "keepalive" | "signal"> & { readonly wait?: "applied" | undefined } = {},
): Promise<EventsAnswer> {
  const answer = await http.json(`/v1/events${wait ? `?wait=${wait}` : ""}`, {
    ...request,
    contentType: "application/x-ndjson",
    body: texts.join("\n"),
  });
  if (typeof answer.accepted !== "number") throw foreignAnswer(200);
  return { ...answer, accepted: answer.accepted, rejected: rejectedIn(answer, texts.length) };
}

/** What an answer or a problem says was refused of a request of so many events. */
export function rejectedIn(body: unknown, events: number): RejectedEvent[] {
  if (!isObject(body) || !Array.isArray(body.rejected)) return [];
  const isOne = (entry: unknown): entry is RejectedEvent =>
    isObject(entry) &&
    Number.isInteger(entry.index) &&
    (entry.index as number) >= 0 &&
    (entry.index as number) < events;
  return body.rejected.filter(isOne);
}

export interface Persistence {
  readonly sleeper: Sleeper;
  /** Epoch ms after which no try is made. */
  readonly giveUpAt: number;
  readonly signal: AbortSignal;
  readonly onRetry: () => void;
}

/** Tries until it succeeds, or throws the error of the last try: lasting, or the time is up, or the signal aborted. */
export async function persist<T>(
  attempt: () => Promise<T>,
  { sleeper, giveUpAt, signal, onRetry }: Persistence,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TallymarkError) || !error.retryable || signal.aborted) throw error;
      const delay = retryDelay(tries, error.retryAfterMs);
      if (Date.now() + delay >= giveUpAt) throw error;
      const wake = () => sleeper.wake();
      signal.addEventListener("abort", wake, { once: true });
      await sleeper.sleep(delay);
      signal.removeEventListener("abort", wake);
      // A machine that slept meanwhile wakes up late.
      if (signal.aborted || Date.now() >= giveUpAt) throw error;
      onRetry();
    }
  }
}
