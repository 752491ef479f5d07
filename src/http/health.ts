import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import type { Metrics } from "../metrics.ts";

export interface HealthOptions {
  readonly metrics: Metrics;
  /** What keeps the service from doing its work just now, a sentence each. */
  readonly troubles: () => Promise<string[]>;
}

const Ready = Type.Object({ status: Type.String(), troubles: Type.Array(Type.String()) });

export const healthRoutes: FastifyPluginAsyncTypebox<HealthOptions> = async (app, { metrics, troubles }) => {
  const tags = ["Operations"];

  app.get(
    "/livez",
    { schema: { tags, summary: "The process runs", response: { 200: Type.Object({ status: Type.String() }) } } },
    async () => ({ status: "ok" }),
  );

  app.get(
    "/readyz",
    { schema: { tags, summary: "The service can do its work", response: { 200: Ready, 503: Ready } } },
    async (_request, reply) => {
      const found = await troubles();
      return reply
        .code(found.length > 0 ? 503 : 200)
        .send({ status: found.length > 0 ? "unready" : "ok", troubles: found });
    },
  );

  app.get("/metrics", { schema: { tags, summary: "Prometheus metrics" } }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  );
};
