import fastifyStatic from "@fastify/static";
import type { FastifyPluginAsync } from "fastify";
import { scopeRoutes } from "./scope.ts";
import { PAGE_POLICY } from "./security-headers.ts";

export interface DashboardOptions {
  /** What the build made of `src/dashboard/`. Where it is missing, `/` answers 404 and everything else works. */
  readonly directory: string;
}

/** Keys and names are whatever a producer sends: even if one reached the page as markup, nothing of it would run. */
const HEADERS = {
  "content-security-policy": PAGE_POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  // Names stay the same from build to build, so a browser asks each time, and the ETag answers for it.
  "cache-control": "no-cache",
};

/** The live dashboard at `/`. */
export const dashboardRoutes: FastifyPluginAsync<DashboardOptions> = async (app, { directory }) => {
  // The page holds no data; it asks for a key where one is needed.
  scopeRoutes(app, { scope: "open" });
  await app.register(fastifyStatic, {
    root: directory,
    // One route per file: what is not there is answered as everywhere else.
    wildcard: false,
    // The board of the jobs decorates replies for itself; nobody here needs it.
    decorateReply: false,
    cacheControl: false,
    suppressWarning: true,
    setHeaders: (reply) => {
      reply.headers(HEADERS);
    },
  });
};
