import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { CounterInput } from "../core/counter.ts";
import { parseCounter } from "../core/counter-parse.ts";
import { isObject } from "../core/event.ts";
import { faultsProblem } from "../core/faults.ts";
import { problems } from "../http/schemas.ts";
import type { CounterRegistry } from "./registry.ts";

const Path = Type.Object({ name: Type.String({ examples: ["sales"] }) });
const EXAMPLE = { event: "purchase", by: ["subject"], sum: "data.amount", unique: "data.customer" };
/** Stored definitions have every default filled in; what is shown is what is stored. */
const Definition = Type.Unsafe<Record<string, unknown>>({
  type: "object",
  additionalProperties: true,
  description: "The definition with its defaults filled in",
  examples: [
    {
      name: "sales",
      ...EXAMPLE,
      windows: ["1m", "1h", "1d"],
      keep: { "1m": "24h", "1h": "30d", "1d": "400d" },
      lateness: "10m",
      top: true,
      keysMax: 1_000_000,
    },
  ],
});

export interface CounterRoutesOptions {
  readonly registry: CounterRegistry;
}

export const counterRoutes: FastifyPluginAsyncTypebox<CounterRoutesOptions> = async (app, { registry }) => {
  const tags = ["Counters"];

  app.get(
    "/v1/counters",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "listCounters",
        summary: "All counters",
        response: { 200: Type.Object({ counters: Type.Array(Definition) }, { description: "All definitions" }) },
      },
    },
    async () => ({ counters: registry.current.counters.map(({ definition }) => ({ ...definition })) }),
  );

  app.get(
    "/v1/counters/:name",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "getCounter",
        summary: "One counter",
        params: Path,
        response: { 200: Definition, ...problems(404) },
      },
    },
    async ({ params }) => ({ ...registry.current.get(params.name).definition }),
  );

  app.put(
    "/v1/counters/:name",
    {
      config: { scope: "admin" },
      // The handler validates, so that all faults are told at once.
      validatorCompiler: () => () => true,
      schema: {
        tags,
        operationId: "putCounter",
        summary: "Make or change a counter",
        description: "keep, coldKeep, lateness and keysMax can change while the counter lives.",
        params: Path,
        body: Type.Partial(CounterInput, { examples: [EXAMPLE, { ...EXAMPLE, lateness: "1h", keep: { "1m": "2d" } }] }),
        response: { 200: Definition, 201: Definition, ...problems(400, 409, 503) },
      },
    },
    async ({ params, body }, reply) => {
      const { name } = params;
      const given: unknown = isObject(body) ? { name, ...body } : body;
      const parsed = parseCounter(given);
      const faults = Array.isArray(parsed) ? parsed : [];
      if (isObject(given) && given.name !== name)
        faults.push({ field: "name", detail: "must be the name in the path" });
      if (faults.length > 0 || Array.isArray(parsed)) throw faultsProblem("invalid_counter", faults);
      const outcome = await registry.put(parsed);
      return reply.code(outcome === "created" ? 201 : 200).send({ ...parsed });
    },
  );

  app.delete(
    "/v1/counters/:name",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "deleteCounter",
        summary: "Delete a counter and its counts",
        params: Path,
        response: { 204: Type.Null({ description: "Deleted" }), ...problems(404, 503) },
      },
    },
    async ({ params }, reply) => {
      await registry.remove(params.name);
      return reply.code(204).send(null);
    },
  );
};
