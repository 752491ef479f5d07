import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { Counter } from "../core/counter.ts";
import { unpackPayload } from "../core/packed.ts";
import { Problem } from "../core/problem.ts";
import { formatTime } from "../core/time.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import { problems } from "../http/schemas.ts";
import type { RedisClient } from "../redis/client.ts";
import type { PartitionKeys } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";
import { Ledger } from "./ledger.ts";

export interface LedgerRoutesOptions {
  readonly client: RedisClient;
  readonly scripts: Scripts;
  readonly partitions: readonly PartitionKeys[];
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
const ReadmitBody = Type.Union([
  Type.Object({ refs: Type.Array(Type.String(), { minItems: 1, maxItems: 1_000 }) }),
  Type.Object({ counter: Type.String(), all: Type.Literal(true) }),
]);

export const ledgerRoutes: FastifyPluginAsyncTypebox<LedgerRoutesOptions> = async (app, options) => {
  const { client, scripts, partitions, registry, pass } = options;
  const late = new Ledger(client, scripts, partitions, "late");
  const dead = new Ledger(client, scripts, partitions, "dead");
  const tags = ["Ledgers"];

  const find = (name: string): Counter => registry.current.get(name);
  const isOf = (counter: Counter) => (fields: Readonly<Record<string, string>>) =>
    fields.generation === String(counter.generation);

  app.get(
    "/v1/late",
    {
      schema: {
        tags,
        summary: "Events that were late for a counter",
        querystring: Type.Object({ counter: Type.String(), cursor: Type.Optional(Type.String()) }),
        response: { 200: Type.Object({ late: Type.Array(LateEvent), cursor: Cursor }), ...problems(400, 404, 503) },
      },
    },
    async ({ query }) => {
      const { entries, cursor } = await late.list(query.cursor, isOf(find(query.counter)));
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
      schema: {
        tags,
        summary: "Count late events after all",
        body: ReadmitBody,
        response: { 202: Type.Object({ readmitted: Type.Integer() }), ...problems(400, 404, 503) },
      },
    },
    async ({ body }, reply) => {
      pass();
      const readmitted =
        "refs" in body ? await late.requeue(body.refs) : await readmitAll(late, isOf(find(body.counter)));
      return reply.code(202).send({ readmitted });
    },
  );

  app.get(
    "/v1/dead-letters",
    {
      schema: {
        tags,
        summary: "Events that could not be applied",
        querystring: Type.Object({ cursor: Type.Optional(Type.String()) }),
        response: { 200: Type.Object({ deadLetters: Type.Array(DeadLetter), cursor: Cursor }), ...problems(400, 503) },
      },
    },
    async ({ query }) => {
      const { entries, cursor } = await dead.list(query.cursor, () => true);
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
      schema: {
        tags,
        summary: "Apply a dead letter again",
        description: "What still cannot be applied comes back as a new dead letter.",
        params: Type.Object({ ref: Type.String() }),
        response: { 202: Type.Object({ retried: Type.Integer() }), ...problems(400, 404, 503) },
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

async function readmitAll(late: Ledger, wanted: Parameters<Ledger["list"]>[1]): Promise<number> {
  let readmitted = 0;
  let cursor: string | undefined;
  do {
    const page = await late.list(cursor, wanted);
    readmitted += await late.requeue(page.entries.map(({ ref }) => ref));
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return readmitted;
}

/** The one event of a payload as its producer would write it, or the text itself where it is none. */
function showPayload(payload: string): unknown {
  const [item] = unpackPayload(payload) ?? [];
  if (!item || "fault" in item) return payload;
  const { id, source, type, time, subject, data } = item.event;
  return {
    id,
    source,
    type,
    ...(time !== null && { time: formatTime(time) }),
    ...(subject !== null && { subject }),
    ...(data !== null && { data }),
  };
}
