import { randomUUID } from "node:crypto";
import fastifySwagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, { type FastifyInstance, LogController } from "fastify";
import { REQUEST_BYTES_MAX } from "../core/limits.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { answerTransportError, LISTENER_OPTIONS, limitConnections, REQUEST_TIMEOUT_MS, takeToken } from "./listener.ts";
import { observeRequests } from "./observe.ts";
import { DOCUMENT } from "./openapi.ts";
import { describeSecurity, SECURITY_SCHEMES } from "./openapi-security.ts";
import { installProblems, sendProblem, toProblem } from "./problems.ts";
import { installSecurityHeaders } from "./security-headers.ts";

/** The HTTP server without its routes. */
export async function createServer(log: Logger, metrics: Metrics): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: log,
    // A line per request would cost more than most requests do; what fails is logged where it fails.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: REQUEST_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: LISTENER_OPTIONS,
    clientErrorHandler: answerTransportError,
    rewriteUrl: takeToken,
    // What the router refuses before there is a route.
    frameworkErrors: (error, _request, reply) => sendProblem(reply as never, toProblem(error)),
    genReqId: () => randomUUID(),
    // One for each request costs 3 µs, and next to none of them writes a line: those that do name the request themselves.
    childLoggerFactory: (logger) => logger,
    forceCloseConnections: "idle",
    routerOptions: { maxParamLength: 1_024 },
  }).withTypeProvider<TypeBoxTypeProvider>();
  limitConnections(app as unknown as FastifyInstance);
  installProblems(app as unknown as FastifyInstance);
  installSecurityHeaders(app as unknown as FastifyInstance);
  observeRequests(app as unknown as FastifyInstance, metrics);
  await app.register(fastifySwagger, {
    openapi: { ...DOCUMENT, components: { securitySchemes: SECURITY_SCHEMES } },
    transform: describeSecurity,
  });
  app.get("/openapi.json", { config: { scope: "open" }, schema: { hide: true } }, async () => app.swagger());
  return app as unknown as FastifyInstance;
}
