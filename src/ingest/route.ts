import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { Quota } from "../access/quota.ts";
import { WAIT_APPLIED_MAX_MS } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import { problems } from "../http/schemas.ts";
import { decodeBody, decompress, type Headers } from "./decode.ts";
import { Ingest, type IngestDependencies } from "./ingest.ts";
import type { Outcome } from "./outcomes.ts";
import { EVENT_BODIES } from "./schema.ts";

const Rejected = Type.Array(
  Type.Object({ index: Type.Integer(), id: Type.Optional(Type.String()), code: Type.String(), detail: Type.String() }),
);
const Queued = Type.Object(
  { accepted: Type.Integer(), rejected: Rejected },
  { description: "Queued durably", examples: [{ accepted: 2, rejected: [] }] },
);
const Applied = Type.Object(
  {
    accepted: Type.Integer({ description: "Sum of the four below" }),
    applied: Type.Integer({ description: "New, and counted wherever they match" }),
    duplicates: Type.Integer(),
    late: Type.Integer({ description: "Late for at least one counter, and kept" }),
    dead: Type.Integer({ description: "Cannot be applied, and kept" }),
    rejected: Rejected,
  },
  {
    description: "Counted, visible on every process",
    examples: [{ accepted: 1, applied: 1, duplicates: 0, late: 0, dead: 0, rejected: [] }],
  },
);

export interface IngestRoutesOptions extends IngestDependencies {
  readonly quota: Quota;
}

export const ingestRoutes: FastifyPluginAsyncTypebox<IngestRoutesOptions> = async (app, { quota, ...dependencies }) => {
  const ingest = new Ingest(dependencies);
  // Bodies are decoded here, event by event, so that one bad event does not take its request along.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(Object.keys(EVENT_BODIES), { parseAs: "buffer" }, (_request, body, done) =>
    done(null, body),
  );

  app.post(
    "/v1/events",
    {
      config: { scope: "ingest" },
      // The schema documents; the handler validates, so that a bad event costs no more than itself.
      validatorCompiler: () => () => true,
      schema: {
        tags: ["Events"],
        operationId: "sendEvents",
        summary: "Send events",
        description:
          "An event or an array as application/json, one event a line as application/x-ndjson, CloudEvents 1.0 in structured, batch or binary mode; each also with content-encoding: gzip. At most 10,000 events and 8 MiB.",
        querystring: Type.Object({
          wait: Type.Optional(
            Type.Literal("applied", { description: "Answer once the counts are visible", examples: ["applied"] }),
          ),
        }),
        body: {
          content: Object.fromEntries(Object.entries(EVENT_BODIES).map(([type, schema]) => [type, { schema }])),
        },
        response: { 200: Applied, 202: Queued, ...problems(400, 413, 415, 503) },
      },
    },
    async (request, reply) => {
      const { wait } = request.query;
      if (wait !== undefined && wait !== "applied") {
        throw new Problem("invalid_parameter", "querystring: wait must be applied where given");
      }
      if (!Buffer.isBuffer(request.body)) throw new Problem("unsupported_media_type", "the request has no body");
      const body = await decompress(request.body, request.headers["content-encoding"]);
      const mediaType = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
      const candidates = decodeBody(body, mediaType, request.headers as Headers);
      if (request.caller) await quota.take(request.caller, "events", candidates.length, reply);
      const { accepted, rejected } = ingest.validate(candidates);
      if (accepted.length === 0) {
        throw new Problem("invalid_events", rejected[0]?.detail ?? "the request holds no events", { rejected });
      }
      const outcome = await ingest.enqueue(accepted, wait ? WAIT_APPLIED_MAX_MS : null);
      if (outcome === null) return reply.code(202).send({ accepted: accepted.length, rejected });
      return reply.code(200).send({ accepted: accepted.length, ...(outcome satisfies Outcome), rejected });
    },
  );
};
