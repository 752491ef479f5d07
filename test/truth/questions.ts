import { setTimeout as pause } from "node:timers/promises";

/** A lookup, in the form that `POST /v1/query` takes. */
export interface Question {
  readonly counter: string;
  readonly feed: "value" | "series" | "top";
  readonly key?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly last?: string;
  readonly window?: string;
  readonly limit?: number;
  readonly by?: "count" | "sum";
}

export interface Numbers {
  readonly count: number | string;
  readonly sum?: number | string;
  readonly unique?: number;
}

/** An answer of any feed; which of the later fields it has depends on the question. */
export interface Answer extends Numbers {
  readonly counter: string;
  readonly key: readonly string[] | null;
  readonly from: string;
  readonly to: string;
  readonly watermark: string | null;
  readonly final: boolean;
  readonly window?: string;
  readonly buckets?: readonly (Numbers & { readonly start: string; readonly final: boolean })[];
  readonly top?: readonly (Numbers & { readonly key: readonly string[] | null })[];
}

/**
 * What one request may ask. The contract allows 1,000 queries whatever they are; this suite is about what is answered
 * and not about load, so it asks for fewer of those that read much.
 */
const BATCH_COST_MAX = 1_000;
const COSTS: Readonly<Record<Question["feed"], number>> = { value: 1, series: 25, top: 2 };

/** How often the same is asked again that cannot be answered just now, and the pause before it, ms. */
const RETRIES_MAX = 30;
const RETRY_MS = 1_000;

/** The answers, in the order of the questions; throws on any that is a problem. */
export async function askAll(baseUrl: string, questions: readonly Question[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  for (const batch of batchesOf(questions)) answers.push(...(await askBatch(baseUrl, batch)));
  return answers;
}

function batchesOf(questions: readonly Question[]): Question[][] {
  const batches: Question[][] = [];
  let left = 0;
  for (const question of questions) {
    left -= COSTS[question.feed];
    if (left < 0) {
      batches.push([]);
      left = BATCH_COST_MAX - COSTS[question.feed];
    }
    batches.at(-1)!.push(question);
  }
  return batches;
}

export async function askBatch(baseUrl: string, queries: readonly Question[]): Promise<Answer[]> {
  const results = await askedAgain(
    () => postQueries(baseUrl, queries),
    (answers) => answers.some((answer) => "status" in answer && answer.status === 503),
  );
  if (results.length !== queries.length) throw new Error(`${results.length} results for ${queries.length} queries`);
  for (const [i, answer] of results.entries()) {
    if (typeof answer.counter === "string") continue;
    throw new Error(`${JSON.stringify(queries[i])} was answered with ${JSON.stringify(answer)}`);
  }
  return results;
}

async function postQueries(baseUrl: string, queries: readonly Question[]): Promise<Answer[]> {
  const { results } = await request<{ results: Answer[] }>(`${baseUrl}/v1/query`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ queries }),
  });
  return results;
}

/** A failover is answered 503 while it lasts, and nodes of a cluster that get no time to run are taken for dead. */
async function askedAgain<T>(ask: () => Promise<T>, isUnavailable: (result: T) => boolean): Promise<T> {
  for (let retry = 0; ; retry++) {
    const result = await ask();
    if (!isUnavailable(result) || retry === RETRIES_MAX) return result;
    await pause(RETRY_MS);
  }
}

/** The same lookup over its own path. */
export function ask(baseUrl: string, { counter, feed, key = [], ...parameters }: Question): Promise<Answer> {
  const query = new URLSearchParams(key.map((value): [string, string] => ["key", value]));
  for (const [name, value] of Object.entries(parameters)) query.set(name, String(value));
  return request(`${baseUrl}/v1/counters/${counter}/${feed}?${query}`);
}

/** All keys of a counter with the prefix, page by page. */
export async function listKeys(baseUrl: string, counter: string, prefix = "", limit = 1000): Promise<string[][]> {
  const keys: string[][] = [];
  let cursor: string | null | undefined;
  do {
    const query = new URLSearchParams({ limit: String(limit) });
    if (prefix) query.set("prefix", prefix);
    if (cursor) query.set("cursor", cursor);
    const page: { keys: string[][]; cursor?: string | null } = await request(
      `${baseUrl}/v1/counters/${counter}/keys?${query}`,
    );
    if (page.keys.length > limit) throw new Error(`a page of ${page.keys.length} keys, asked for ${limit}`);
    if (cursor && page.cursor === cursor) throw new Error("the cursor of a page of keys stands still");
    keys.push(...page.keys);
    cursor = page.cursor;
  } while (cursor);
  return keys;
}

async function request<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await askedAgain(
    () => fetch(url, init),
    ({ status }) => status === 503,
  );
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${init?.method ?? "GET"} ${url}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}
