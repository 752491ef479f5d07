import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { Problem } from "../core/problem.ts";
import { parseTimeParameter } from "../core/time.ts";
import type { CounterRegistry } from "../counters/registry.ts";
import { problems } from "../http/schemas.ts";
import type { Rebuilds } from "./lake.ts";

const Path = Type.Object({ name: Type.String({ description: "Name of the counter", examples: ["sales"] }) });
const Status = Type.Object(
  {
    counter: Type.String(),
    state: Type.String({
      description: "queued, waiting (for the archive to have what came before), counting, done or failed",
    }),
    read: Type.Integer({ description: "Readings of segments that are done" }),
    all: Type.Integer({ description: "Readings in all; each segment is read twice" }),
    events: Type.Integer({ description: "Events counted from the lake" }),
    reason: Type.Union([Type.String(), Type.Null()], { description: "Why it failed" }),
  },
  { description: "How far it is" },
);
const Instant = (description: string) =>
  Type.Optional(Type.String({ description, examples: ["2026-01-01T00:00:00Z"] }));

export interface RebuildRoutesOptions {
  readonly registry: CounterRegistry;
  /** `null`: raw events are not archived. */
  readonly rebuilds: Rebuilds | null;
}

export const rebuildRoutes: FastifyPluginAsyncTypebox<RebuildRoutesOptions> = async (app, { registry, rebuilds }) => {
  const tags = ["Counters"];
  const lake = (): Rebuilds => {
    if (rebuilds) return rebuilds;
    throw new Problem("archive_off", "raw events are not archived here: TALLYMARK_ARCHIVE is not set");
  };

  app.post(
    "/v1/counters/:name/rebuild",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "rebuildCounter",
        summary: "Count a counter anew from the archived events",
        description:
          "Beside the counter as it is, which the new one replaces once it is complete. Events outside of the span, which is widened to whole buckets of the widest window, are not in it.",
        params: Path,
        body: Type.Object(
          {
            from: Instant("RFC 3339 or epoch milliseconds; default: the first event"),
            to: Instant("Exclusive; default: the last event"),
          },
          { additionalProperties: false, examples: [{}] },
        ),
        response: { 202: Status, ...problems(400, 404, 409, 503) },
      },
    },
    async ({ params, body }, reply) => {
      const counter = registry.current.get(params.name);
      const [from, to] = [parseInstant("from", body.from), parseInstant("to", body.to)];
      if (from !== undefined && to !== undefined && from >= to) {
        throw new Problem("invalid_span", "from: must be before to");
      }
      return reply.code(202).send(await lake().ask(counter, { from, to }));
    },
  );

  app.get(
    "/v1/counters/:name/rebuild",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "getRebuild",
        summary: "How far a counter's last rebuild is",
        params: Path,
        response: { 200: Status, ...problems(404, 409, 503) },
      },
    },
    async ({ params }) => lake().read(registry.current.get(params.name).name),
  );
};

function parseInstant(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = parseTimeParameter(text);
  if (time === null)
    throw new Problem("invalid_span", `${name}: must be RFC 3339 or epoch milliseconds, years 1970 to 9999`);
  return time;
}
