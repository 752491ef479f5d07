import { isObject } from "../../../src/core/event.ts";
import { json, serve } from "../helpers.ts";

export interface StubQuery {
  readonly key?: readonly string[];
  readonly other?: true;
  readonly from: number;
  readonly to: number;
}

export interface ExportStub {
  readonly url: string;
  /** Of each `POST /v1/query`. */
  readonly requests: StubQuery[][];
}

export interface StubOptions {
  /** Pages of keys. */
  readonly keys: readonly (readonly string[][])[];
  readonly by?: readonly string[];
  /** The result of a query. */
  readonly result?: (query: StubQuery, request: number) => object;
  /** Answers in place of the stub and says so. */
  readonly status?: (path: string) => { status: number; headers: Record<string, string> } | null;
}

/** A service with one counter `sales` that answers as it is told. */
export async function startStub({
  keys,
  by = ["subject"],
  result = oneBucket,
  status,
}: StubOptions): Promise<ExportStub> {
  const requests: StubQuery[][] = [];
  const counter = { name: "sales", event: "sale", by, sum: "data.n", windows: ["1m", "1h"] };
  const url = await serve(({ url: target = "" }, body, response) => {
    const { pathname, searchParams } = new URL(target, "http://stub");
    const instead = status?.(pathname);
    if (instead) return json(response, instead.status, { detail: "not now" }, instead.headers);
    if (pathname === "/v1/counters") return json(response, 200, { counters: [counter] });
    if (pathname.endsWith("/keys")) {
      const page = Number(searchParams.get("cursor") ?? 0);
      const cursor = page + 1 < keys.length ? String(page + 1) : null;
      return json(response, 200, { keys: keys[page], cursor });
    }
    const parsed: unknown = JSON.parse(body);
    const queries = (isObject(parsed) ? parsed.queries : []) as StubQuery[];
    requests.push(queries);
    json(response, 200, { results: queries.map((query) => result(query, requests.length)) });
  });
  return { url, requests };
}

export function oneBucket({ from }: StubQuery, _request: number, numbers: object = { count: 1, sum: 1 }): object {
  return { buckets: [{ start: new Date(from).toISOString(), ...numbers, final: true }] };
}
