import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Registry } from "prom-client";
import { Type } from "typebox";

export interface HealthOptions {
  /** In Prometheus's exposition format. */
  readonly metrics: () => Promise<string>;
  /** What keeps the service from doing its work just now, a sentence each. */
  readonly troubles: () => Promise<string[]>;
  /** What somebody should look at, although the service does its work. */
  readonly notes: () => Promise<string[]>;
}

const Ready = Type.Object(
  {
    status: Type.String({ description: "ok, degraded (with notes) or unready (with troubles)" }),
    troubles: Type.Array(Type.String()),
    notes: Type.Array(Type.String()),
  },
  { description: "How it stands" },
);

const Exposition = {
  description: "Text of Prometheus's exposition format 0.0.4",
  content: { "text/plain": { schema: Type.String() } },
};

export const healthRoutes: FastifyPluginAsyncTypebox<HealthOptions> = async (app, { metrics, troubles, notes }) => {
  const tags = ["Operations"];

  app.get(
    "/livez",
    {
      config: { scope: "open" },
      schema: {
        tags,
        operationId: "getLiveness",
        summary: "The process runs",
        response: { 200: Type.Object({ status: Type.String() }, { description: "Always, while it runs" }) },
      },
    },
    async () => ({ status: "ok" }),
  );

  app.get(
    "/readyz",
    {
      config: { scope: "open" },
      schema: {
        tags,
        operationId: "getReadiness",
        summary: "The service can do its work",
        response: { 200: Ready, 503: Ready },
      },
    },
    async (_request, reply) => {
      const found = await troubles();
      const noted = await notes();
      const status = found.length > 0 ? "unready" : noted.length > 0 ? "degraded" : "ok";
      return reply.code(found.length > 0 ? 503 : 200).send({ status, troubles: found, notes: noted });
    },
  );

  app.get(
    "/metrics",
    {
      config: { scope: "read" },
      schema: { tags, operationId: "getMetrics", summary: "Prometheus metrics", response: { 200: Exposition } },
    },
    async (_request, reply) => reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(await metrics()),
  );
};
