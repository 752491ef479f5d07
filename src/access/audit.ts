import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { scopeOf } from "../http/scope.ts";
import type { Logger } from "../log.ts";
import { SAFE_METHODS } from "./guard.ts";

/**
 * A line in the log, marked `audit`, for every call that changes what an admin may change, refused ones included: who,
 * what, outcome. Bodies and queries are left out, since they may hold secrets.
 */
export function installAudit(app: FastifyInstance, log: Logger): void {
  // Whatever the level of the log: who did it is asked when it is too late to raise that.
  const trail = log.child({ audit: true }, log.level === "silent" ? {} : { level: "info" });
  const note = (request: FastifyRequest, reply: FastifyReply) => {
    const { id, caller, ip, method, url } = request;
    const key = caller?.key ? { id: caller.key.id, name: caller.key.name } : null;
    trail.info(
      { requestId: id, key, address: ip, method, path: url.split("?")[0], status: reply.statusCode },
      "admin call",
    );
  };
  app.addHook("onResponse", (request, reply, done) => {
    if (!request.is404 && scopeOf(request) === "admin" && !SAFE_METHODS.has(request.method)) note(request, reply);
    done();
  });
}
