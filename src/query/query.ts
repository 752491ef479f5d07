import { type Static, Type } from "typebox";
import type { CounterRegistry } from "../counters/registry.ts";
import type { Lookups, SeriesAnswer, TopAnswer, ValueAnswer } from "./lookups.ts";
import { parseSeries, parseTop, parseValue } from "./request.ts";

const Instant = Type.Union([Type.String(), Type.Number()]);

/** What a lookup asks for: an element of `POST /v1/query`, and what a live feed shows. */
export const QuerySchema = Type.Object({
  counter: Type.String(),
  feed: Type.Union([Type.Literal("value"), Type.Literal("series"), Type.Literal("top")]),
  key: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
  other: Type.Optional(Type.Boolean()),
  last: Type.Optional(Type.String()),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  window: Type.Optional(Type.String()),
  limit: Type.Optional(Type.Integer()),
  by: Type.Optional(Type.String()),
});

export type Query = Static<typeof QuerySchema>;

/** Throws a Problem when the query does not fit its counter, or there is none of that name. */
export async function runQuery(
  lookups: Lookups,
  registry: CounterRegistry,
  query: Query,
  signal?: AbortSignal,
): Promise<ValueAnswer | SeriesAnswer | TopAnswer> {
  const { counter: name, feed, ...parameters } = query;
  const counter = registry.current.get(name);
  if (feed === "value") return lookups.value(parseValue(counter, parameters), signal);
  if (feed === "series") return lookups.series(parseSeries(counter, parameters), signal);
  return lookups.top(parseTop(counter, parameters), signal);
}
