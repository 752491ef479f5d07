import { setTimeout as delay } from "node:timers/promises";
import pMap from "p-map";
import type { Member } from "./member.ts";

/** Queries of one request: few enough for a busy machine to answer each in time. */
const QUERIES = 100;
const TRIES = 20;
const RETRY_MS = 250;

export interface Query {
  readonly counter: string;
  readonly feed: "value" | "series" | "top";
  readonly [parameter: string]: unknown;
}

/** Reads over HTTP, from one process after the other, and again where the answer is "not now". */
export class Reader {
  readonly #members: readonly Member[];
  #turn = 0;

  constructor(members: readonly Member[]) {
    this.#members = members;
  }

  async get<Body>(path: string): Promise<Body> {
    return (await this.#request(path)) as Body;
  }

  async post<Body>(path: string, body: unknown): Promise<Body> {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    return (await this.#request(path, init)) as Body;
  }

  /** All pages of a list, under the name that it has in the answers. */
  async list<Item>(path: string, name: string): Promise<Item[]> {
    const items: Item[] = [];
    let cursor: string | null = "";
    do {
      const page: Record<string, unknown> = await this.get(
        `${path}${cursor && `cursor=${encodeURIComponent(cursor)}`}`,
      );
      items.push(...(page[name] as Item[]));
      cursor = page.cursor as string | null;
    } while (cursor !== null);
    return items;
  }

  /** The answers to many lookups, in order. */
  async queryAll<Answer>(queries: readonly Query[]): Promise<Answer[]> {
    const parts = Array.from({ length: Math.ceil(queries.length / QUERIES) }, (_, i) =>
      queries.slice(i * QUERIES, (i + 1) * QUERIES),
    );
    const answers = await pMap(parts, (part) => this.#query<Answer>(part), { concurrency: this.#members.length });
    return answers.flat();
  }

  async #query<Answer>(queries: readonly Query[]): Promise<Answer[]> {
    for (let attempt = 1; ; attempt++) {
      const { results } = await this.post<{ results: { status?: number }[] }>("/v1/query", { queries });
      const failed = results.find(({ status }) => status !== undefined);
      if (!failed) return results as Answer[];
      if (failed.status !== 503 || attempt === TRIES) throw new Error(`a lookup failed: ${JSON.stringify(failed)}`);
      await delay(RETRY_MS);
    }
  }

  async #request(path: string, init?: RequestInit): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const url = this.#members[this.#turn++ % this.#members.length]?.url;
      const response = url ? await fetch(url + path, init).catch(() => null) : null;
      if (response?.ok) return response.json();
      if ((response && response.status !== 503) || attempt >= TRIES) {
        throw new Error(`${path} was answered ${response?.status} ${await response?.text()}`);
      }
      await delay(RETRY_MS);
    }
  }
}
