import { type Counter, widestOf } from "../core/counter.ts";
import { bucketStart } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import { admitKeys } from "../redis/commands/admit.ts";
import type { Scripts } from "../redis/scripts.ts";
import type { MatchedBucket, MatchedKey } from "./match.ts";

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

  /** Learns about all these keys; afterwards `admitted` answers for them. */
  async learn(keys: readonly MatchedKey[]): Promise<void> {
    const unknown = new Map<string, { bucket: MatchedBucket; texts: Set<string> }>();
    for (const { bucket, text } of keys) {
      if (text === null) continue;
      const answers = this.#answersFor(bucket);
      if (answers?.admitted.has(text) || answers?.refused.has(text)) continue;
      const question = questionOf(bucket);
      const asked = unknown.get(question) ?? { bucket, texts: new Set() };
      unknown.set(question, asked);
      asked.texts.add(text);
    }
    const learning = Promise.all(
      [...unknown].map(([question, { bucket, texts }]) => this.#ask(question, bucket, [...texts])),
    );
    await learning.finally(() => this.#latest.clear());
  }

  #answersFor(bucket: MatchedBucket): Answers | undefined {
    const start = widestStart(bucket);
    let latest = this.#latest.get(bucket.counter);
    if (latest?.start !== start) {
      latest = { start, answers: this.#answers.get(questionOf(bucket)) };
      this.#latest.set(bucket.counter, latest);
    }
    return latest.answers;
  }

  async #ask(question: string, bucket: MatchedBucket, keys: readonly string[]): Promise<void> {
    const admitted = await admitKeys(this.#client, this.#scripts, bucket.counter, widestStart(bucket), keys);
    const answers = this.#answers.get(question) ?? { admitted: new Set(), refused: new Set() };
    if (answers.refused.size > REFUSALS_REMEMBERED) answers.refused.clear();
    for (const [i, key] of keys.entries()) (admitted[i] ? answers.admitted : answers.refused).add(key);
    this.#answers.set(question, answers);
    for (const old of this.#answers.keys()) {
      if (this.#answers.size <= BUCKETS_REMEMBERED) break;
      if (old !== question) this.#answers.delete(old);
    }
  }

  /** Whether it is counted under its own name. */
  admitted({ bucket, text }: MatchedKey): boolean {
    if (text === null) return true;
    const refused = this.#answersFor(bucket)?.refused;
    // Most counters refuse nothing.
    return !refused?.size || !refused.has(text);
  }
}

function questionOf(bucket: MatchedBucket): string {
  return `${bucket.counter.generation} ${widestStart(bucket)} ${bucket.counter.keysMax}`;
}

function widestStart({ counter, start }: MatchedBucket): number {
  return bucketStart(start, widestOf(counter).ms);
}
