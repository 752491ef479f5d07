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
import { whileOpen } from "../http/while-open.ts";
import { parseKeys } from "./keys.ts";
import { Lookups, type LookupsDependencies } from "./lookups.ts";
import { type Query, QuerySchema, runQuery } from "./query.ts";
import { parseSeries, parseTop, parseValue } from "./request.ts";

/** Lookups of one request under way at the same time: all at once would make everybody else wait behind them. */
const QUERIES_AT_ONCE = 8;

const Path = Type.Object({ name: Type.String({ examples: ["sales"] }) });
const SpanQuery = {
  last: Type.Optional(
    Type.String({ description: "Duration; ends with the bucket of the counter's newest event", examples: ["1h"] }),
  ),
  from: Type.Optional(Type.String({ description: "RFC 3339 or epoch milliseconds" })),
  to: Type.Optional(Type.String({ description: "RFC 3339 or epoch milliseconds, exclusive" })),
};
const SubjectQuery = {
  key: Type.Optional(
    Type.Array(Type.String(), {
      description: "Once per `by` field, in order; absent: the total",
      examples: [["/shop"]],
    }),
  ),
  other: Type.Optional(Type.Boolean({ description: "The keys refused by keysMax, together" })),
};
const Key = Type.Union([Type.Array(Type.String()), Type.Null()]);
const Numbers = { count: BigNumber, sum: Type.Optional(BigNumber), unique: Type.Optional(Type.Integer()) };
const Head = {
  counter: Type.String(),
  from: Type.String({ description: "As used: widened to whole buckets" }),
  to: Type.String({ description: "Exclusive" }),
  watermark: Type.Union([Type.String(), Type.Null()], { description: "How far the counter's event time has come" }),
  final: Type.Boolean({ description: "Only a readmission can change the answer" }),
};
const HEAD = {
  counter: "sales",
  from: "2026-01-05T09:00:00.000Z",
  to: "2026-01-05T10:00:00.000Z",
  watermark: "2026-01-05T09:59:30.000Z",
  final: false,
};
const NUMBERS = { count: 3, sum: 59.7, unique: 2 };
const ValueHead = { ...Head, key: Key, other: Type.Optional(Type.Literal(true)), ...Numbers };
const ValueAnswer = Type.Object(ValueHead, {
  description: "The numbers",
  examples: [{ ...HEAD, key: ["/shop"], ...NUMBERS }],
});
const SeriesAnswer = Type.Object(
  {
    ...ValueHead,
    window: Type.String(),
    buckets: Type.Array(Type.Object({ start: Type.String(), ...Numbers, final: Type.Boolean() })),
  },
  {
    description: "Zero-filled, oldest first",
    examples: [
      { ...HEAD, key: null, ...NUMBERS, window: "1h", buckets: [{ start: HEAD.from, ...NUMBERS, final: false }] },
    ],
  },
);
const TopAnswer = Type.Object(
  {
    ...Head,
    top: Type.Array(Type.Object({ key: Type.Array(Type.String()), count: BigNumber, sum: Type.Optional(BigNumber) })),
  },
  {
    description: "Largest first, ties by key",
    examples: [{ ...HEAD, top: [{ key: ["/shop"], count: 2, sum: 39.8 }] }],
  },
);

export interface QueryRoutesOptions extends LookupsDependencies {
  readonly registry: CounterRegistry;
}

export const queryRoutes: FastifyPluginAsyncTypebox<QueryRoutesOptions> = async (app, options) => {
  const lookups = new Lookups(options);
  const find = (name: string): Counter => options.registry.current.get(name);
  const route = <Answer>(operationId: string, summary: string, answer: Answer) => ({
    tags: ["Lookups"],
    operationId,
    summary,
    params: Path,
    response: { 200: answer, ...problems(400, 404, 503) },
  });

  app.get(
    "/v1/counters/:name/value",
    {
      config: { scope: "read" },
      schema: {
        ...route("getValue", "One number over a span", ValueAnswer),
        querystring: Type.Object({ ...SpanQuery, ...SubjectQuery }),
      },
    },
    async ({ params, query }, reply) => lookups.value(parseValue(find(params.name), query), whileOpen(reply.raw)),
  );

  app.get(
    "/v1/counters/:name/series",
    {
      config: { scope: "read" },
      schema: {
        ...route("getSeries", "A number for every bucket of a span", SeriesAnswer),
        querystring: Type.Object({
          ...SpanQuery,
          ...SubjectQuery,
          window: Type.Optional(Type.String({ description: "One of the counter's windows", examples: ["1m"] })),
        }),
      },
    },
    async ({ params, query }, reply) => lookups.series(parseSeries(find(params.name), query), whileOpen(reply.raw)),
  );

  app.get(
    "/v1/counters/:name/top",
    {
      config: { scope: "read" },
      schema: {
        ...route("getTop", "The largest keys of a span", TopAnswer),
        querystring: Type.Object({
          ...SpanQuery,
          limit: Type.Optional(Type.Integer({ description: "1 to 1,000, default 10", examples: [10] })),
          by: Type.Optional(Type.String({ description: "count or sum", examples: ["sum"] })),
        }),
      },
    },
    async ({ params, query }, reply) => lookups.top(parseTop(find(params.name), query), whileOpen(reply.raw)),
  );

  app.get(
    "/v1/counters/:name/keys",
    {
      config: { scope: "read" },
      schema: {
        ...route(
          "listKeys",
          "Distinct keys, in byte order",
          Type.Object(
            {
              keys: Type.Array(Type.Array(Type.String())),
              cursor: Type.Union([Type.String(), Type.Null()], { description: "Of the next page" }),
            },
            { description: "Keys with data, hot or cold", examples: [{ keys: [["/"], ["/shop"]], cursor: null }] },
          ),
        ),
        querystring: Type.Object({
          prefix: Type.Optional(Type.String({ description: "Of the first field", examples: ["/sh"] })),
          limit: Type.Optional(Type.Integer({ description: "1 to 1,000, default 100", examples: [100] })),
          cursor: Type.Optional(Type.String({ description: "That of the page before" })),
        }),
      },
    },
    async ({ params, query }, reply) => lookups.keys(find(params.name), parseKeys(query), whileOpen(reply.raw)),
  );

  app.post(
    "/v1/query",
    {
      config: { scope: "read" },
      schema: {
        tags: ["Lookups"],
        operationId: "query",
        summary: "Many lookups in one request",
        description: "Each result is the answer of its query, or a problem document.",
        body: Type.Object(
          { queries: Type.Array(Type.Unknown(), { minItems: 1, maxItems: QUERIES_MAX }) },
          {
            examples: [
              {
                queries: [
                  { counter: "sales", feed: "value", key: ["/shop"], last: "1h" },
                  { counter: "sales", feed: "series", last: "1h", window: "1m" },
                  { counter: "sales", feed: "top", last: "1d", by: "sum", limit: 3 },
                ],
              },
            ],
          },
        ),
        response: {
          200: Type.Object({ results: Type.Array(Type.Unknown()) }, { description: "In the order of the queries" }),
          ...problems(400, 503),
        },
      },
    },
    async (request, reply) => {
      const signal = whileOpen(reply.raw);
      const isQuery = request.compileValidationSchema(QuerySchema);
      const answer = async (query: unknown): Promise<object> => {
        try {
          if (!isQuery(query as object)) throw queryFault(isQuery.errors);
          return await runQuery(lookups, options.registry, query as Query, signal);
        } catch (error) {
          const problem = toProblem(error);
          if (problem.code === "internal") request.log.error({ requestId: request.id, err: error }, "query failed");
          return problem.toDocument();
        }
      };
      return { results: await pMap(request.body.queries, answer, { concurrency: QUERIES_AT_ONCE }) };
    },
  );
};

function queryFault(errors: ValidationFunction["errors"]): Problem {
  const [first] = errors ?? [];
  return new Problem(
    "invalid_parameter",
    `${first?.instancePath.slice(1) || "query"}: ${first?.message ?? "is invalid"}`,
  );
}
