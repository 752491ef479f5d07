import { setTimeout as delay } from "node:timers/promises";
import { pipelined } from "../buckets/pipeline.ts";
import { formatTime } from "../core/time.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import type { RedisClient } from "../redis/client.ts";
import { parseClock } from "../redis/commands/apply.ts";
import type { PartitionKeys } from "../redis/keys.ts";

export interface StatsAnswer {
  readonly time: string;
  /** Events taken off the streams per second since the last look, copies and late ones included. */
  readonly eventsPerSecond: number;
  /** Stream entries that wait to be applied; an entry holds what one request brought for one partition. */
  readonly backlog: number;
  readonly counters: readonly {
    readonly counter: string;
    /** `null` before the counter's first event. */
    readonly watermark: string | null;
    /** How far the watermark is behind wall time, ms. */
    readonly lagMs: number | null;
  }[];
}

export interface StatsDependencies {
  readonly client: RedisClient;
  readonly partitions: readonly PartitionKeys[];
  readonly registry: CounterRegistry;
  readonly now: () => number;
}

/** Two looks closer to each other than this, ms, say nothing about a rate. */
const RATE_OVER_MIN_MS = 250;

interface Look {
  readonly at: number;
  /** Events ever taken off all streams. */
  readonly events: number;
  readonly waiting: number;
  /** Per partition, the clocks by generation. */
  readonly clocks: readonly Readonly<Record<string, string>>[];
}

/** How the whole deployment is doing, as Redis has it: the same from whichever process it is asked. */
export class Stats {
  readonly #deps: StatsDependencies;
  #before: Look | null = null;

  constructor(deps: StatsDependencies) {
    this.#deps = deps;
  }

  async read(): Promise<StatsAnswer> {
    this.#before ??= await this.#look();
    const rest = this.#before.at + RATE_OVER_MIN_MS - performance.now();
    if (rest > 0) await delay(rest);
    const [before, look] = [this.#before, await this.#look()];
    this.#before = look;
    const seconds = (look.at - before.at) / 1_000;
    return {
      time: formatTime(this.#deps.now()),
      eventsPerSecond: Math.max(0, Math.round((look.events - before.events) / seconds)),
      backlog: look.waiting,
      counters: this.#watermarks(look),
    };
  }

  async #look(): Promise<Look> {
    const { client, partitions } = this.#deps;
    const looks = (await Promise.all(
      partitions.map(({ stream, state, clocks, kept }) =>
        pipelined(client, [
          ["xlen", stream],
          ["scard", kept],
          ["hget", state, "events"],
          ["hgetall", clocks],
        ]),
      ),
    )) as [number, number, string | null, Record<string, string>][];
    return {
      at: performance.now(),
      events: looks.reduce((sum, [, , events]) => sum + Number(events ?? 0), 0),
      waiting: looks.reduce((sum, [entries, kept]) => sum + Math.max(0, entries - kept), 0),
      clocks: looks.map(([, , , clocks]) => clocks),
    };
  }

  #watermarks({ clocks }: Look): StatsAnswer["counters"] {
    const now = this.#deps.now();
    return this.#deps.registry.current.counters.map(({ name, generation }) => {
      const texts = clocks.map((byGeneration) => byGeneration[generation]).filter((text) => text !== undefined);
      if (texts.length === 0) return { counter: name, watermark: null, lagMs: null };
      const watermark = Math.min(...texts.map((text) => parseClock(text).clock));
      return { counter: name, watermark: formatTime(watermark), lagMs: Math.max(0, now - watermark) };
    });
  }
}
