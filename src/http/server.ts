import fastifySwagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import fastify, { type FastifyInstance, LogController } from "fastify";
import { ulid } from "ulid";
import { REQUEST_BYTES_MAX } from "../core/limits.ts";
import type { Logger } from "../log.ts";
import { version } from "../version.ts";
import { installProblems } from "./problems.ts";
import { START_PAGE } from "./start-page.ts";

/** A request that has not come in completely after this long is given up, ms; Fastify's default is never. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The HTTP server without its routes. */
export async function createServer(log: Logger): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: log,
    // A line per request would cost more than most requests do; what fails is logged where it fails.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: REQUEST_BYTES_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    genReqId: () => ulid(),
    forceCloseConnections: "idle",
    routerOptions: { maxParamLength: 1_024 },
  }).withTypeProvider<TypeBoxTypeProvider>();
  installProblems(app as unknown as FastifyInstance);
  await app.register(fastifySwagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Tallymark",
        description: "Exact real-time counters on Redis.",
        version,
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
    },
  });
  app.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
  app.get("/", { schema: { hide: true } }, async (_request, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
      .send(START_PAGE),
  );
  return app as unknown as FastifyInstance;
}
