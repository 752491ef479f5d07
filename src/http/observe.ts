import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Metrics } from "../metrics.ts";

/** Answers of feeds end when somebody leaves: their time says nothing. */
const FEEDS = "/v1/live";

/** Measures every answer, and gives each the id that its request has in the log. */
export function observeRequests(app: FastifyInstance, metrics: Metrics): void {
  // Callbacks, not promises, as all hooks that every request passes: one of these costs it a microsecond.
  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    done();
  });
  app.addHook("onResponse", (request, reply, done) => {
    observe(request, reply, metrics);
    done();
  });
}

function observe(request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  const route = routeOf(request);
  if (route.startsWith(FEEDS)) return;
  const labels = { method: methodOf(request), route, status: statusClass(reply) };
  metrics.httpSeconds.observe(labels, reply.elapsedTime / 1_000);
}

/** The pattern, never the address: whoever asks for what is not there must not make a series of it. */
const routeOf = (request: FastifyRequest): string => request.routeOptions.url ?? "none";

/** Node takes a few dozen methods; without a route all of them are one. */
const methodOf = (request: FastifyRequest): string => (request.routeOptions.url ? request.method : "any");

const statusClass = ({ statusCode }: FastifyReply): string => `${Math.floor(statusCode / 100)}xx`;
