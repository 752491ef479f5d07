import fastifyCors from "@fastify/cors";
import type { FastifyInstance } from "fastify";
import type { Logger } from "../log.ts";
import { installAudit } from "./audit.ts";
import { type GuardDependencies, installGuard } from "./guard.ts";

/** What pages of other origins may read of an answer. */
const EXPOSED_HEADERS = ["Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"];
/** How long a browser may keep what a preflight allowed, s. */
const PREFLIGHT_S = 600;

/** Puts everything between a client and the routes; their own hooks come after these. */
export async function protect(app: FastifyInstance, deps: GuardDependencies & { readonly log: Logger }): Promise<void> {
  const { allowedOrigins, log } = deps;
  if (allowedOrigins.length > 0) {
    await app.register(fastifyCors, {
      origin: allowedOrigins.includes("*") ? "*" : [...allowedOrigins],
      methods: ["GET", "HEAD", "POST", "PUT", "DELETE"],
      exposedHeaders: EXPOSED_HEADERS,
      maxAge: PREFLIGHT_S,
    });
  }
  installAudit(app, log);
  installGuard(app, deps);
}
