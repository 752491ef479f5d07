import type { FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import type { FastifySchema } from "fastify";
import { problems } from "./schemas.ts";
import type { RouteScope } from "./scope.ts";

type Transform = NonNullable<FastifyDynamicSwaggerOptions["transform"]>;

export const SECURITY_SCHEMES = {
  key: {
    type: "http",
    scheme: "bearer",
    description: "An API key, tm_…; needed once a deployment has one. Scopes: ingest, read, admin",
  },
  token: {
    type: "apiKey",
    in: "query",
    name: "token",
    description: "The same key, for browsers, which send no headers with a WebSocket or an event stream",
  },
} as const;

/** Adds to a route's description what its scope means for callers. */
export const describeSecurity: Transform = ({ schema, url, route }) => {
  const scope = (route.config as { scope?: RouteScope } | undefined)?.scope;
  if (!schema || schema.hide || scope === undefined) return { schema, url };
  if (scope === "open") return { schema: { ...schema, security: [] }, url };
  const { response } = schema as { response?: Record<string, unknown> };
  const isLive = url.startsWith("/v1/live");
  const described: FastifySchema = {
    ...schema,
    security: [{ key: [scope] }, ...(isLive ? [{ token: [scope] }] : [])],
    response: { ...problems(401, 403, 429), ...response },
  };
  return { schema: described, url };
};
