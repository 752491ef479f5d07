import type { ServerResponse } from "node:http";
import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import type { ValidationFunction } from "fastify/types/request.js";
import pMap from "p-map";
import { Type } from "typebox";
import type { Counter } from "../core/counter.ts";
import { QUERIES_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import { toProblem } from "../http/problems.ts";
import { BigNumber, problems } from "../http/schemas.ts";
import { parseKeys } from "./keys.ts";
import { Lookups, type LookupsDependencies } from "./lookups.ts";
import { type LookupParameters, parseSeries, parseTop, parseValue } from "./request.ts";

/** Lookups of one request under way at the same time: all at once would make everybody else wait behind them. */
const QUERIES_AT_ONCE = 8;

const Path = Type.Object({ name: Type.String() });
const SpanQuery = {
  last: Type.Optional(Type.String({ description: "Duration, for instance 5m; ends with the counter's newest bucket" })),
  from: Type.Optional(Type.String({ description: "RFC 3339 or epoch milliseconds" })),
  to: Type.Optional(Type.String({ description: "RFC 3339 or epoch milliseconds, exclusive" })),
};
const SubjectQuery = {
  key: Type.Optional(Type.Array(Type.String(), { description: "Once per `by` field, in order; absent: the total" })),
  other: Type.Optional(Type.Boolean({ description: "The keys refused by keysMax, together" })),
};
const Key = Type.Union([Type.Array(Type.String()), Type.Null()]);
const Numbers = { count: BigNumber, sum: Type.Optional(BigNumber), unique: Type.Optional(Type.Integer()) };
const Head = {
  counter: Type.String(),
  from: Type.String(),
  to: Type.String(),
  watermark: Type.Union([Type.String(), Type.Null()]),
  final: Type.Boolean(),
};
const ValueHead = { ...Head, key: Key, other: Type.Optional(Type.Literal(true)), ...Numbers };
const ValueAnswer = Type.Object(ValueHead);
const SeriesAnswer = Type.Object({
  ...ValueHead,
  window: Type.String(),
  buckets: Type.Array(Type.Object({ start: Type.String(), ...Numbers, final: Type.Boolean() })),
});
const TopAnswer = Type.Object({
  ...Head,
  top: Type.Array(Type.Object({ key: Type.Array(Type.String()), count: BigNumber, sum: Type.Optional(BigNumber) })),
});

const Instant = Type.Union([Type.String(), Type.Number()]);
const Query = Type.Object({
  counter: Type.String(),
  feed: Type.Union([Type.Literal("value"), Type.Literal("series"), Type.Literal("top")]),
  key: Type.Optional(Key),
  other: Type.Optional(Type.Boolean()),
  last: Type.Optional(Type.String()),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  window: Type.Optional(Type.String()),
  limit: Type.Optional(Type.Integer()),
  by: Type.Optional(Type.String()),
});

export interface QueryRoutesOptions extends LookupsDependencies {
  readonly registry: CounterRegistry;
}

export const queryRoutes: FastifyPluginAsyncTypebox<QueryRoutesOptions> = async (app, options) => {
  const lookups = new Lookups(options);
  const find = (name: string): Counter => options.registry.current.get(name);
  const route = <Answer>(summary: string, answer: Answer) => ({
    tags: ["Lookups"],
    summary,
    params: Path,
    response: { 200: answer, ...problems(400, 404, 503) },
  });

  app.get(
    "/v1/counters/:name/value",
    {
      schema: {
        ...route("One number over a span", ValueAnswer),
        querystring: Type.Object({ ...SpanQuery, ...SubjectQuery }),
      },
    },
    async ({ params, query }, reply) => lookups.value(parseValue(find(params.name), query), whileOpen(reply.raw)),
  );

  app.get(
    "/v1/counters/:name/series",
    {
      schema: {
        ...route("A number for every bucket of a span", SeriesAnswer),
        querystring: Type.Object({ ...SpanQuery, ...SubjectQuery, window: Type.Optional(Type.String()) }),
      },
    },
    async ({ params, query }, reply) => lookups.series(parseSeries(find(params.name), query), whileOpen(reply.raw)),
  );

  app.get(
    "/v1/counters/:name/top",
    {
      schema: {
        ...route("The largest keys of a span", TopAnswer),
        querystring: Type.Object({
          ...SpanQuery,
          limit: Type.Optional(Type.Integer()),
          by: Type.Optional(Type.String()),
        }),
      },
    },
    async ({ params, query }, reply) => lookups.top(parseTop(find(params.name), query), whileOpen(reply.raw)),
  );

  app.get(
    "/v1/counters/:name/keys",
    {
      schema: {
        ...route(
          "Distinct keys, in byte order",
          Type.Object({
            keys: Type.Array(Type.Array(Type.String())),
            cursor: Type.Union([Type.String(), Type.Null()]),
          }),
        ),
        querystring: Type.Object({
          prefix: Type.Optional(Type.String({ description: "Of the first field" })),
          limit: Type.Optional(Type.Integer()),
          cursor: Type.Optional(Type.String()),
        }),
      },
    },
    async ({ params, query }, reply) => lookups.keys(find(params.name), parseKeys(query), whileOpen(reply.raw)),
  );

  type Query = { counter: string; feed: string } & LookupParameters;
  const run = async ({ counter: name, feed, ...parameters }: Query, signal: AbortSignal) => {
    const counter = find(name);
    if (feed === "value") return lookups.value(parseValue(counter, parameters), signal);
    if (feed === "series") return lookups.series(parseSeries(counter, parameters), signal);
    return lookups.top(parseTop(counter, parameters), signal);
  };

  app.post(
    "/v1/query",
    {
      schema: {
        tags: ["Lookups"],
        summary: "Many lookups in one request",
        description: "Each result is the answer of its query, or a problem document.",
        body: Type.Object({ queries: Type.Array(Type.Unknown(), { minItems: 1, maxItems: QUERIES_MAX }) }),
        response: { 200: Type.Object({ results: Type.Array(Type.Unknown()) }), ...problems(400, 503) },
      },
    },
    async (request, reply) => {
      const signal = whileOpen(reply.raw);
      const isQuery = request.compileValidationSchema(Query);
      const answer = async (query: unknown): Promise<object> => {
        try {
          if (!isQuery(query as object)) throw queryFault(isQuery.errors);
          return await run(query as Query, signal);
        } catch (error) {
          const problem = toProblem(error);
          if (problem.code === "internal") request.log.error({ err: error }, "query failed");
          return problem.toDocument();
        }
      };
      return { results: await pMap(request.body.queries, answer, { concurrency: QUERIES_AT_ONCE }) };
    },
  );
};

/** Aborted when the client leaves before its answer. */
function whileOpen(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  return controller.signal;
}

function queryFault(errors: ValidationFunction["errors"]): Problem {
  const [first] = errors ?? [];
  return new Problem(
    "invalid_parameter",
    `${first?.instancePath.slice(1) || "query"}: ${first?.message ?? "is invalid"}`,
  );
}
