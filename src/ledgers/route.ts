import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { unpackPayload } from "../core/packed.ts";
import { Problem } from "../core/problem.ts";
import { formatTime } from "../core/time.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import { problems } from "../http/schemas.ts";
import { Ledger, type LedgerDependencies } from "./ledger.ts";

export interface LedgerRoutesOptions extends LedgerDependencies {
  readonly registry: CounterRegistry;
  /** Throws while no events are taken. */
  readonly pass: () => void;
}

const Cursor = Type.Union([Type.String(), Type.Null()]);
const LateEvent = Type.Object({
  ref: Type.String(),
  counter: Type.String(),
  event: Type.Unknown(),
  watermark: Type.String({ description: "The partition's clock of the counter when the event came" }),
});
const DeadLetter = Type.Object({ ref: Type.String(), reason: Type.String(), event: Type.Unknown() });
const ReadmitBody = Type.Union(
  [
    Type.Object({ refs: Type.Array(Type.String(), { minItems: 1, maxItems: 1_000 }) }),
    Type.Object({ counter: Type.String(), all: Type.Literal(true) }),
  ],
  { examples: [{ counter: "sales", all: true }] },
);
const Page = Type.Optional(Type.String({ description: "That of the page before" }));

export const ledgerRoutes: FastifyPluginAsyncTypebox<LedgerRoutesOptions> = async (app, options) => {
  const { registry, pass } = options;
  const late = new Ledger(options, "late");
  const dead = new Ledger(options, "dead");
  const tags = ["Ledgers"];

  const generationOf = (name: string): number => registry.current.get(name).generation;

  app.get(
    "/v1/late",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "listLate",
        summary: "Events that were late for a counter",
        querystring: Type.Object({ counter: Type.String({ examples: ["sales"] }), cursor: Page }),
        response: {
          200: Type.Object({ late: Type.Array(LateEvent), cursor: Cursor }, { description: "One page" }),
          ...problems(400, 404, 503),
        },
      },
    },
    async ({ query }) => {
      const { entries, cursor } = await late.list(query.cursor, generationOf(query.counter));
      const shown = entries.map(({ ref, fields }) => ({
        ref,
        counter: query.counter,
        event: showPayload(fields.payload as string),
        watermark: formatTime(Number(fields.watermark)),
      }));
      return { late: shown, cursor };
    },
  );

  app.post(
    "/v1/late/readmit",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "readmitLate",
        summary: "Count late events after all",
        body: ReadmitBody,
        response: {
          202: Type.Object({ readmitted: Type.Integer() }, { description: "On their way" }),
          ...problems(400, 404, 503),
        },
      },
    },
    async ({ body }, reply) => {
      pass();
      const readmitted =
        "refs" in body ? await late.requeue(body.refs) : await readmitAll(late, generationOf(body.counter), pass);
      return reply.code(202).send({ readmitted });
    },
  );

  app.get(
    "/v1/dead-letters",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "listDeadLetters",
        summary: "Events that could not be applied",
        querystring: Type.Object({ cursor: Page }),
        response: {
          200: Type.Object({ deadLetters: Type.Array(DeadLetter), cursor: Cursor }, { description: "One page" }),
          ...problems(400, 503),
        },
      },
    },
    async ({ query }) => {
      const { entries, cursor } = await dead.list(query.cursor, null);
      const shown = entries.map(({ ref, fields }) => ({
        ref,
        reason: fields.reason as string,
        event: showPayload(fields.payload as string),
      }));
      return { deadLetters: shown, cursor };
    },
  );

  app.post(
    "/v1/dead-letters/:ref/retry",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "retryDeadLetter",
        summary: "Apply a dead letter again",
        description: "What still cannot be applied comes back as a new dead letter.",
        params: Type.Object({ ref: Type.String() }),
        response: {
          202: Type.Object({ retried: Type.Integer() }, { description: "On its way" }),
          ...problems(400, 404, 503),
        },
      },
    },
    async ({ params }, reply) => {
      pass();
      const retried = await dead.requeue([params.ref]);
      if (retried === 0) throw new Problem("not_found", `there is no dead letter ${params.ref}`);
      return reply.code(202).send({ retried });
    },
  );
};

/** Ends early while no events are taken: what comes from cold storage fills the stream. */
async function readmitAll(late: Ledger, generation: number, pass: () => void): Promise<number> {
  let readmitted = 0;
  let cursor: string | undefined;
  do {
    pass();
    const page = await late.list(cursor, generation);
    readmitted += await late.requeue(page.entries.map(({ ref }) => ref));
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return readmitted;
}

/** The one event of a payload as its producer would write it, or the text itself where it is none, or many. */
function showPayload(payload: string): unknown {
  const items = unpackPayload(payload) ?? [];
  const [item] = items;
  if (!item || items.length > 1 || "fault" in item) return payload;
  const { id, source, type, time, subject, data } = item;
  return {
    id,
    source,
    type,
    ...(time !== null && { time: formatTime(time) }),
    ...(subject !== null && { subject }),
    ...(data !== null && { data }),
  };
}
