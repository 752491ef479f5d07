import { type ProblemDocument, TallymarkError } from "./errors.ts";
import { foreignAnswer, type Http } from "./http.ts";
import { isObject } from "./json.ts";
import type { AnswerOf, KeysParameters, Query } from "./types.ts";

/** Keys in one page: the most that the service gives. */
const PAGE_KEYS = 1_000;

type Parameters = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export async function lookUp<Answer>(
  http: Http,
  counter: string,
  feed: "value" | "series" | "top",
  parameters: Parameters,
  signal?: AbortSignal,
): Promise<Answer> {
  return (await http.json(pathOf(counter, feed, parameters), { signal })) as Answer;
}

/** All keys in byte order, asked for page by page. */
export async function* listKeys(
  http: Http,
  counter: string,
  { prefix }: KeysParameters,
  signal?: AbortSignal,
): AsyncGenerator<readonly string[], void, undefined> {
  let cursor: string | undefined;
  do {
    const page = await http.json(pathOf(counter, "keys", { prefix, limit: PAGE_KEYS, cursor }), { signal });
    if (!Array.isArray(page.keys)) throw foreignAnswer(200);
    yield* page.keys as string[][];
    cursor = typeof page.cursor === "string" ? page.cursor : undefined;
  } while (cursor !== undefined);
}

export type QueryResults<Queries extends readonly Query[]> = {
  [I in keyof Queries]: AnswerOf<Queries[I]> | TallymarkError;
};

export async function runQueries<const Queries extends readonly Query[]>(
  http: Http,
  queries: Queries,
  signal?: AbortSignal,
): Promise<QueryResults<Queries>> {
  const body = JSON.stringify({ queries });
  const { results } = await http.json("/v1/query", { body, contentType: "application/json", signal });
  if (!Array.isArray(results) || results.length !== queries.length) throw foreignAnswer(200);
  return results.map((result: unknown) => (isProblem(result) ? TallymarkError.ofProblem(result) : result)) as never;
}

function isProblem(result: unknown): result is ProblemDocument {
  return isObject(result) && typeof result.status === "number" && typeof result.code === "string";
}

function pathOf(counter: string, feed: string, parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    for (const text of Array.isArray(value) ? value : [value]) query.append(name, String(text));
  }
  return `/v1/counters/${encodeURIComponent(counter)}/${feed}?${query}`;
}
