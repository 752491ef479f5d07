import type { FastifyInstance, FastifyRequest, RouteOptions } from "fastify";
import type { Scope } from "../core/api-key.ts";

/** What a route asks of its callers; `open`: nothing, ever. */
export type RouteScope = Scope | "open";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Every route names one. */
    scope?: RouteScope;
    /** Whether the key may be the password of HTTP Basic: pages of others, that browsers open by themselves. */
    basic?: true;
  }
}

/** What a route that names no scope asks: forgetting it locks people out, and lets nobody in. */
export function scopeOf(request: FastifyRequest): RouteScope {
  return request.routeOptions.config.scope ?? "admin";
}

/** Names a scope for all routes that somebody else's plugin adds to `app` from now on. */
export function scopeRoutes(app: FastifyInstance, config: NonNullable<RouteOptions["config"]>): void {
  app.addHook("onRoute", (route) => {
    route.config = { ...config, ...route.config };
  });
}
