import type { FastifyError, FastifyInstance, FastifyReply } from "fastify";
import { PROBLEMS, Problem, type ProblemCode } from "../core/problem.ts";
import { isUnavailable } from "../redis/failures.ts";

/** Seconds after which a client may try again what failed for a passing reason. */
const RETRY_AFTER_S = 1;

const BY_STATUS: Readonly<Record<number, ProblemCode>> = {
  400: "bad_request",
  404: "not_found",
  413: "too_large",
  414: "uri_too_long",
  415: "unsupported_media_type",
  503: "unavailable",
};

/** Every error leaves as `application/problem+json`, and only what is our own mistake is logged. */
export function installProblems(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toProblem(error);
    if (problem.code === "internal")
      request.log.error({ requestId: request.id, err: error, route: request.routeOptions.url }, "request failed");
    return sendProblem(reply, problem);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new Problem("not_found", `there is nothing at ${request.method} ${request.url.split("?")[0]}`)),
  );
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (PROBLEMS[problem.code].status === 503) reply.header("retry-after", RETRY_AFTER_S);
  return reply
    .code(problem.status)
    .type("application/problem+json")
    .serializer((document: unknown) => JSON.stringify(document))
    .send(problem.toDocument());
}

/** Whatever was thrown → what a client is told. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (isUnavailable(error)) return new Problem("unavailable", "Redis does not answer just now; try again", {}, error);
  const { validation, validationContext, message, statusCode } = error as FastifyError;
  if (validation) return new Problem("invalid_parameter", `${validationContext}: ${message.replace(/^\w+[/ ]/, "")}`);
  const code = BY_STATUS[statusCode ?? 500];
  return code ? new Problem(code, message) : new Problem("internal", "something went wrong here; it has been logged");
}
