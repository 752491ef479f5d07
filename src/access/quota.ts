import type { FastifyReply } from "fastify";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { Problem } from "../core/problem.ts";
import { parseRate, type Rate } from "../core/rate.ts";
import type { RedisClient } from "../redis/client.ts";
import { RATE_PREFIX } from "../redis/keys.ts";
import type { Caller } from "./caller.ts";

/** What is counted: events for ingest, requests for everything else, apart from each other. */
export type QuotaUnit = "events" | "requests";

/**
 * How much each caller may do. Counted in Redis, so that all processes share it, in windows that begin with a caller's
 * first request; one round trip a request, and none where there is no limit. While Redis does not answer each process
 * counts for itself: a limit must not stop what it is there to protect.
 */
export class Quota {
  readonly #client: RedisClient;
  readonly #general: Rate | null;
  readonly #limiters = new Map<string, RateLimiterRedis>();

  /** @param general of callers that have none of their own; `null`: no limit */
  constructor(client: RedisClient, general: Rate | null) {
    this.#client = client;
    this.#general = general;
  }

  /**
   * Takes `amount` from the caller's quota and tells in headers what is left of it, all or nothing. Throws a Problem
   * `rate_limited`, or `too_large` for what no quota of this size will ever allow.
   * (https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10)
   */
  async take({ id, key }: Caller, unit: QuotaUnit, amount: number, reply: FastifyReply): Promise<void> {
    const rate = key?.rateLimit ? parseRate(key.rateLimit) : this.#general;
    if (rate === null) return;
    reply.header("ratelimit-policy", `"${unit}";q=${rate.limit};w=${rate.seconds}`);
    const allowance = `${rate.limit} ${unit} in ${rate.seconds} s`;
    if (amount > rate.limit) {
      throw new Problem(
        "too_large",
        `the request holds ${amount} ${unit}, and the limit is ${allowance}; send fewer at once`,
      );
    }
    const { isAllowed, state } = await this.#count(this.#limiter(rate), `${unit}:${id}`, amount);
    const seconds = Math.max(1, Math.ceil(state.msBeforeNext / 1_000));
    reply.header("ratelimit", `"${unit}";r=${state.remainingPoints};t=${seconds}`);
    if (isAllowed) return;
    reply.header("retry-after", seconds);
    throw new Problem("rate_limited", `the limit is ${allowance}; the next begin in ${seconds} s`);
  }

  async #count(limiter: RateLimiterRedis, name: string, amount: number) {
    try {
      return { isAllowed: true, state: await limiter.consume(name, amount) };
    } catch (refusal) {
      if (!(refusal instanceof RateLimiterRes)) throw refusal;
      // What was refused was counted as well; given back, a smaller request still fits.
      if (amount > 1) await limiter.reward(name, amount);
      return { isAllowed: false, state: refusal };
    }
  }

  #limiter({ limit, seconds }: Rate): RateLimiterRedis {
    const name = `${limit}/${seconds}`;
    let limiter = this.#limiters.get(name);
    if (!limiter) {
      const options = { points: limit, duration: seconds, keyPrefix: RATE_PREFIX };
      const insuranceLimiter = new RateLimiterMemory(options);
      limiter = new RateLimiterRedis({ ...options, storeClient: this.#client, insuranceLimiter });
      this.#limiters.set(name, limiter);
    }
    return limiter;
  }
}
