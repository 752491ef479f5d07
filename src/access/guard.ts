import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Problem } from "../core/problem.ts";
import { checkOrigin } from "../http/origins.ts";
import { sendProblem, toProblem } from "../http/problems.ts";
import { scopeOf } from "../http/scope.ts";
import type { Metrics } from "../metrics.ts";
import type { Caller } from "./caller.ts";
import type { KeyRing } from "./key-ring.ts";
import type { Quota } from "./quota.ts";

export interface GuardDependencies {
  readonly keys: KeyRing;
  readonly quota: Quota;
  readonly metrics: Metrics;
  readonly allowedOrigins: readonly string[];
}

/** Methods that change nothing. */
export const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** One sentence for every cause: which one it was is nobody's business but the caller's. */
const UNAUTHORIZED = "a valid API key is needed: Authorization: Bearer tm_…";

/** Lets a request in by its key's scopes and quota, before anything of it is read. */
export function installGuard(app: FastifyInstance, deps: GuardDependencies): void {
  app.decorateRequest("caller", null);
  app.addHook("onRequest", async (request, reply) => {
    if (request.is404 || scopeOf(request) === "open") return;
    try {
      request.caller = identify(request, reply, deps);
      // Events are charged one by one, once they are counted.
      if (scopeOf(request) !== "ingest") await deps.quota.take(request.caller, "requests", 1, reply);
    } catch (error) {
      // Not thrown: a route's own plugin may answer errors in its own way.
      const problem = toProblem(error);
      deps.metrics.refused.inc({ code: problem.code });
      return sendProblem(reply, problem);
    }
  });
}

function identify(request: FastifyRequest, reply: FastifyReply, { keys, allowedOrigins }: GuardDependencies): Caller {
  const { headers, method, ip, routeOptions } = request;
  const isBasicRoute = routeOptions.config.basic === true;
  const checkWriter = () => {
    if (!SAFE_METHODS.has(method)) checkOrigin(headers.origin, headers.host, allowedOrigins);
  };
  if (keys.isOpen) {
    // Any page may make the browser of somebody on this machine post something.
    checkWriter();
    return { id: ip, key: null };
  }
  const given = readKey(headers.authorization, isBasicRoute);
  const key = given === null ? null : keys.find(given.key);
  if (key === null) {
    reply.header("www-authenticate", isBasicRoute ? 'Basic realm="tallymark", charset="UTF-8"' : "Bearer");
    throw new Problem("unauthorized", UNAUTHORIZED);
  }
  // A browser adds what was typed into its own form to whatever it sends, also for other pages.
  if (given?.isBasic) checkWriter();
  const scope = scopeOf(request);
  if (!(key.scopes as readonly string[]).includes(scope)) {
    throw new Problem("forbidden", `the key "${key.name}" lacks the scope ${scope}`, { scope });
  }
  return { id: key.id, key };
}

/** RFC 6750 Bearer; RFC 7617 Basic, whose password is the key. */
function readKey(authorization: string | undefined, acceptsBasic: boolean): { key: string; isBasic: boolean } | null {
  const [, scheme = "", credentials = ""] = /^(\S+) +(\S+)$/.exec(authorization ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return { key: credentials, isBasic: false };
  if (scheme.toLowerCase() !== "basic" || !acceptsBasic) return null;
  const decoded = Buffer.from(credentials, "base64").toString();
  return { key: decoded.slice(decoded.indexOf(":") + 1), isBasic: true };
}
