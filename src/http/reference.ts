import fastifySwaggerUi from "@fastify/swagger-ui";
import type { FastifyPluginAsync } from "fastify";
import { scopeRoutes } from "./scope.ts";
import { PAGE_POLICY } from "./security-headers.ts";

/** The API reference at `/docs`, which also sends requests. */
export const referenceRoutes: FastifyPluginAsync = async (app) => {
  // It shows what /openapi.json says, and asks for a key where a request needs one.
  scopeRoutes(app, { scope: "open" });
  await app.register(fastifySwaggerUi, {
    routePrefix: "/docs",
    staticCSP: PAGE_POLICY,
    theme: { title: "Tallymark API" },
    uiConfig: { layout: "BaseLayout", deepLinking: true, defaultModelsExpandDepth: -1, displayOperationId: true },
  });
};
