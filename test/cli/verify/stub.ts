import { json, serve } from "../helpers.ts";

/** One counted event as the stub holds it. */
export interface Row {
  readonly key: string[];
  readonly time: number;
  readonly sum: number;
  readonly member: string;
  /** Counted together with others under no name of its own. */
  readonly refused?: boolean;
}

type Query = { counter: string; key?: string[]; other?: boolean; last?: string; from?: string; to?: string };
export type Answer = Record<string, unknown> & { count?: number; sum?: number | string; unique?: number };

interface StubCounter {
  readonly definition: Record<string, unknown> & { name: string };
  readonly rows: Row[];
}

/**
 * A stand-in for the service that looks its answers up in a list of rows, so that single answers can be made wrong.
 *
 * @param tamper changes an answer of a value lookup
 */
export async function startStub(
  counters: readonly StubCounter[],
  tamper: (query: Query, answer: Answer) => void = () => {},
) {
  const find = (name: string | undefined) => counters.find(({ definition }) => definition.name === name) as StubCounter;
  return serve((request, body, response) => {
    const url = new URL(request.url as string, "http://stub");
    const [, , , name, feed] = url.pathname.split("/");
    if (url.pathname === "/v1/counters")
      return json(response, 200, { counters: counters.map((one) => one.definition) });
    if (url.pathname === "/v1/query") {
      const { queries } = JSON.parse(body) as { queries: Query[] };
      const results = queries.map((query) => {
        const answer = value(find(query.counter), query);
        tamper(query, answer);
        return answer;
      });
      return json(response, 200, { results });
    }
    const parameters = Object.fromEntries(url.searchParams);
    if (feed === "series") return json(response, 200, series(find(name), parameters));
    return json(response, 200, keys(find(name), parameters.cursor));
  });
}

function value({ rows }: StubCounter, { key, other, from, to, last }: Query): Answer {
  const [start, end] = [Date.parse(from ?? ""), Date.parse(to ?? "")];
  const hit = rows.filter((row) => {
    const inSpan = last !== undefined || (row.time >= start && row.time < end);
    if (other) return inSpan && row.refused === true;
    return inSpan && (!key || (!row.refused && JSON.stringify(key) === JSON.stringify(row.key)));
  });
  const sum = hit.reduce((total, row) => total + Math.round(row.sum * 1e6), 0) / 1e6;
  return { key: key ?? null, from, to, count: hit.length, sum, unique: new Set(hit.map(({ member }) => member)).size };
}

const WIDTHS: Record<string, number> = { "1m": 60_000, "1h": 3_600_000 };

function series(counter: StubCounter, query: Record<string, string>): Answer {
  const width = WIDTHS[query.window as string] as number;
  const buckets: Answer[] = [];
  for (let at = Date.parse(query.from as string); at < Date.parse(query.to as string); at += width) {
    const [from, to] = [new Date(at).toISOString(), new Date(at + width).toISOString()];
    buckets.push({ ...value(counter, { counter: "", from, to }), start: from });
  }
  return { ...value(counter, { ...query, counter: "" }), window: query.window, buckets };
}

/** Two keys a page. */
function keys({ rows }: StubCounter, cursor = "0"): unknown {
  const all = [...new Set(rows.filter(({ refused }) => !refused).map(({ key }) => JSON.stringify(key)))]
    .sort()
    .map((text) => JSON.parse(text));
  const next = Number(cursor) + 2;
  return { keys: all.slice(Number(cursor), next), cursor: next < all.length ? String(next) : null };
}
