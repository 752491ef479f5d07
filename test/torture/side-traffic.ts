import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Random } from "../../load/random.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import type { Member } from "./member.ts";

const EVERY_MS = 500;
const TIMEOUT_MS = 15_000;
const REFS_MAX = 50;

/** What goes on beside the events: poison on the streams, late events readmitted, dead letters retried. */
export class SideTraffic {
  /** Texts of poison that are dead letters for certain, or perhaps. */
  readonly poison = { certain: new Set<string>(), possible: new Set<string>() };
  readonly counts = { poison: 0, readmitted: 0, retried: 0, unanswered: 0 };
  /** Stream entries that this can have made at most. */
  entriesMost = 0;
  readonly #redis: Redis;
  readonly #partitions: readonly PartitionKeys[];
  readonly #ingest: readonly Member[];
  readonly #counters: readonly string[];
  readonly #random: Random;
  #turn = 0;

  constructor(
    redis: Redis,
    partitions: readonly PartitionKeys[],
    ingest: readonly Member[],
    counters: readonly string[],
    random: Random,
  ) {
    this.#redis = redis;
    this.#partitions = partitions;
    this.#ingest = ingest;
    this.#counters = counters;
    this.#random = random;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const turn = this.#turn++ % 4;
      if (turn === 0) await this.#readmit();
      else if (turn === 2) await this.#retry();
      else await this.#poison();
      await delay(EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Garbage in every form in which an entry can hold it; each is one dead letter. */
  async #poison(): Promise<void> {
    const mark = `poison-${this.counts.poison++}`;
    const forms = [mark, `[["${mark}"]]`, `[{"id":"${mark}"}]`, `[["1",2,"${mark}","",null,null,null,null]]`];
    const text = forms[this.#random.below(forms.length)] as string;
    const { stream } = this.#partitions[this.#random.below(this.#partitions.length)] as PartitionKeys;
    this.poison.possible.add(mark);
    this.entriesMost++;
    const added = await this.#redis.xadd(stream, "*", "e", text).catch(() => null);
    if (added) this.poison.certain.add(mark);
  }

  async #readmit(): Promise<void> {
    const counter = this.#counters[this.#random.below(this.#counters.length)];
    const refs = await this.#refs(`/v1/late?counter=${counter}`, "late");
    if (refs.length === 0) return;
    this.entriesMost += refs.length;
    const answer = (await this.#call("/v1/late/readmit", { refs })) as { readmitted: number } | null;
    if (answer) this.counts.readmitted += answer.readmitted;
    else this.counts.unanswered++;
  }

  async #retry(): Promise<void> {
    const [ref] = await this.#refs("/v1/dead-letters", "deadLetters");
    if (!ref) return;
    this.entriesMost++;
    if (await this.#call(`/v1/dead-letters/${ref}/retry`, {})) this.counts.retried++;
    else this.counts.unanswered++;
  }

  async #refs(path: string, name: string): Promise<string[]> {
    const page = (await this.#call(path)) as Record<string, { ref: string }[]> | null;
    return (page?.[name] ?? []).slice(0, 1 + this.#random.below(REFS_MAX)).map(({ ref }) => ref);
  }

  /** `null`: not answered, or not now. */
  async #call(path: string, body?: unknown): Promise<unknown> {
    const url = this.#ingest[this.#turn % this.#ingest.length]?.url;
    if (!url) return null;
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: JSON_HEADERS };
    try {
      const response = await fetch(url + path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }
}

const JSON_HEADERS = { "content-type": "application/json" };
