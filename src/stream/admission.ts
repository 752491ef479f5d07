import { type Counter, widestOf } from "../core/counter.ts";
import { bucketStart } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { admitKeys } from "../redis/commands/admit.ts";
import type { Scripts } from "../redis/scripts.ts";
import type { Hit, MatchedEntry } from "./match.ts";

/** Buckets whose answers are remembered, and refused keys of each; what is forgotten is asked for again. */
const BUCKETS_REMEMBERED = 64;
const REFUSALS_REMEMBERED = 100_000;

interface Answers {
  /** At most `keysMax`. */
  readonly admitted: Set<string>;
  readonly refused: Set<string>;
}

/**
 * Decides under `keysMax` whether a key is counted under its own name: once for all partitions, in Redis. While
 * `keysMax` stays, an answer never changes, so the worker remembers it.
 */
export class Admission {
  readonly #client: RedisClient;
  readonly #scripts: Scripts;
  /** By generation of the counter, bucket of the widest window, and `keysMax`. */
  readonly #answers = new Map<string, Answers>();
  /** The answers to the last question of each counter: most of a batch ask the same one. Empty once more are learnt. */
  readonly #latest = new Map<Counter, { start: number; answers: Answers | undefined }>();

  constructor(client: RedisClient, scripts: Scripts) {
    this.#client = client;
    this.#scripts = scripts;
  }

  /** Learns about every key of the entries; afterwards `admitted` answers for their hits. */
  async learn(entries: readonly MatchedEntry[]): Promise<void> {
    const unknown = new Map<string, { hit: Hit; keys: Set<string> }>();
    const ask = (hit: Hit) => {
      if (hit.key === null) return;
      const answers = this.#answersFor(hit);
      if (answers?.admitted.has(hit.key) || answers?.refused.has(hit.key)) return;
      const question = questionOf(hit);
      const asked = unknown.get(question) ?? { hit, keys: new Set() };
      unknown.set(question, asked);
      asked.keys.add(hit.key);
    };
    for (const { events } of entries) {
      for (const event of events) if ("hits" in event) for (const hit of event.hits) ask(hit);
    }
    const learning = Promise.all([...unknown].map(([question, { hit, keys }]) => this.#ask(question, hit, [...keys])));
    await learning.finally(() => this.#latest.clear());
  }

  #answersFor(hit: Hit): Answers | undefined {
    const start = widestStart(hit);
    let latest = this.#latest.get(hit.counter);
    if (latest?.start !== start) {
      latest = { start, answers: this.#answers.get(questionOf(hit)) };
      this.#latest.set(hit.counter, latest);
    }
    return latest.answers;
  }

  async #ask(question: string, hit: Hit, keys: string[]): Promise<void> {
    const admitted = await admitKeys(this.#client, this.#scripts, hit.counter, widestStart(hit), keys);
    const answers = this.#answers.get(question) ?? { admitted: new Set(), refused: new Set() };
    if (answers.refused.size > REFUSALS_REMEMBERED) answers.refused.clear();
    for (const [i, key] of keys.entries()) (admitted[i] ? answers.admitted : answers.refused).add(key);
    this.#answers.set(question, answers);
    for (const old of this.#answers.keys()) {
      if (this.#answers.size <= BUCKETS_REMEMBERED) break;
      if (old !== question) this.#answers.delete(old);
    }
  }

  admitted(hit: Hit): boolean {
    return hit.key === null || !this.#answersFor(hit)?.refused.has(hit.key);
  }
}

function questionOf(hit: Hit): string {
  return `${hit.counter.generation} ${widestStart(hit)} ${hit.counter.keysMax}`;
}

function widestStart({ counter, bucket }: Hit): number {
  return bucketStart(bucket, widestOf(counter).ms);
}
