import { parseRetryAfter, retryDelay } from "../client/backoff.ts";
import { networkReason } from "../client/errors.ts";
import { type Counter, CounterInput, compileCounter } from "../core/counter.ts";
import { parseCounter } from "../core/counter-parse.ts";
import { isObject } from "../core/event.ts";
import { KEYS_LIMIT_MAX } from "../core/limits.ts";
import { type CliIo, CommandFailure } from "./replay/io.ts";

const TRIES = 5;
const REQUEST_TIMEOUT_MS = 60_000;
const RETRYABLE = new Set([429, 503]);

/** Elements of `POST /v1/query`. */
export interface ValueQuery {
  readonly counter: string;
  readonly feed: "value";
  readonly key?: readonly string[];
  readonly other?: true;
  readonly last?: string;
  readonly from?: string;
  readonly to?: string;
}

export interface SeriesQuery {
  readonly counter: string;
  readonly feed: "series";
  readonly window: string;
  readonly key?: readonly string[];
  readonly other?: true;
  /** Epoch milliseconds. */
  readonly from: number;
  readonly to: number;
}

/** How far a rebuild is. */
export interface RebuildAnswer {
  readonly state: "queued" | "waiting" | "counting" | "done" | "failed";
  readonly read: number;
  readonly all: number;
  readonly events: number;
  readonly reason: string | null;
}

export type Json = Readonly<Record<string, unknown>>;

/** The lookups of a running service. */
export class Service {
  readonly #url: string;
  readonly #io: Pick<CliIo, "fetch" | "clock" | "signal">;

  constructor(url: string, io: Pick<CliIo, "fetch" | "clock" | "signal">) {
    this.#url = url;
    this.#io = io;
  }

  async counters(): Promise<Counter[]> {
    const { counters } = await this.#request("/v1/counters");
    if (!Array.isArray(counters)) throw new CommandFailure(`${this.#url}/v1/counters gave no list of counters`);
    return counters.map((shown: unknown) => {
      // What else an answer shows of a counter is no part of its definition.
      const known = isObject(shown) ? Object.entries(shown).filter(([field]) => field in CounterInput.properties) : [];
      const definition = parseCounter(Object.fromEntries(known));
      if (!Array.isArray(definition)) return compileCounter(definition, 0);
      const faults = definition.map(({ field, detail }) => `${field}: ${detail}`).join("; ");
      throw new CommandFailure(`${this.#url}/v1/counters gave a definition that cannot be read: ${faults}`);
    });
  }

  async *keys(counter: string): AsyncGenerator<string[]> {
    let cursor: unknown;
    do {
      const query = new URLSearchParams({ limit: String(KEYS_LIMIT_MAX) });
      if (typeof cursor === "string") query.set("cursor", cursor);
      const page = await this.#request(`/v1/counters/${counter}/keys?${query}`);
      yield* page.keys as string[][];
      cursor = page.cursor;
    } while (typeof cursor === "string");
  }

  series(counter: string, query: Readonly<Record<string, string>>): Promise<Json> {
    return this.#request(`/v1/counters/${counter}/series?${new URLSearchParams(query)}`);
  }

  askRebuild(counter: string, span: { readonly from?: string | undefined; readonly to?: string | undefined }) {
    return this.#request(`/v1/counters/${encodeURIComponent(counter)}/rebuild`, span);
  }

  async rebuild(counter: string): Promise<RebuildAnswer> {
    const answer: unknown = await this.#request(`/v1/counters/${encodeURIComponent(counter)}/rebuild`);
    return answer as RebuildAnswer;
  }

  /** Answers of those that failed for a passing reason are asked for again, alone. */
  async query(queries: readonly (ValueQuery | SeriesQuery)[]): Promise<Json[]> {
    const results = await this.#queryOnce(queries);
    for (let attempt = 1; attempt < TRIES; attempt++) {
      const failed = [...results.keys()].filter((i) => RETRYABLE.has(results[i]?.status as number));
      if (failed.length === 0) break;
      await this.#io.clock.sleep(retryDelay(attempt, null), this.#io.signal);
      const again = await this.#queryOnce(failed.map((i) => queries[i] as ValueQuery | SeriesQuery));
      for (const [n, i] of failed.entries()) results[i] = again[n] as Json;
    }
    return results;
  }

  async #queryOnce(queries: readonly (ValueQuery | SeriesQuery)[]): Promise<Json[]> {
    const { results } = await this.#request("/v1/query", { queries });
    if (Array.isArray(results) && results.length === queries.length) return results as Json[];
    throw new CommandFailure(`${this.#url}/v1/query did not give one result for each query`);
  }

  /** Lookups change nothing, so any that failed for a passing reason is tried again. */
  async #request(path: string, body?: unknown): Promise<Json> {
    for (let attempt = 1; ; attempt++) {
      const { reason, retryAfter, json } = await this.#try(path, body);
      if (json) return json;
      if (this.#io.signal.aborted) throw new CommandFailure("interrupted");
      if (retryAfter === undefined || attempt === TRIES) throw new CommandFailure(`${this.#url}${path} ${reason}`);
      const asked = parseRetryAfter(retryAfter, this.#io.clock.now());
      await this.#io.clock.sleep(retryDelay(attempt, asked), this.#io.signal);
    }
  }

  /** @returns `retryAfter` only where another try may succeed */
  async #try(path: string, body: unknown): Promise<{ json?: Json; reason?: string; retryAfter?: string | null }> {
    const post = body !== undefined && {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    };
    try {
      const signal = AbortSignal.any([this.#io.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
      const response = await this.#io.fetch(this.#url + path, { ...post, signal });
      const json = await response.json().catch(() => null);
      const detail = isObject(json) && typeof json.detail === "string" ? ` (${json.detail})` : "";
      const reason = `answered ${response.status}${detail}`;
      if (response.ok) return isObject(json) ? { json } : { reason: `${reason}, which is no answer of Tallymark` };
      return RETRYABLE.has(response.status) ? { reason, retryAfter: response.headers.get("retry-after") } : { reason };
    } catch (error) {
      return { reason: `cannot be reached (${networkReason(error)})`, retryAfter: null };
    }
  }
}
