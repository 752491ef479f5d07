import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { IServerAdapter } from "@bull-board/api/typings/app";
import { FastifyAdapter } from "@bull-board/fastify";
import type { Queue } from "bullmq";
import type { FastifyInstance } from "fastify";
import { scopeRoutes } from "../http/scope.ts";

const PATH = "/jobs";

/** The page sets styles in its markup, and takes everything from here. */
const POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "base-uri 'self'",
  "frame-ancestors 'none'",
].join("; ");

/** The BullMQ board at `/jobs`: queues, their jobs and failures. */
export async function registerBoard(app: FastifyInstance, queues: readonly Queue[]): Promise<void> {
  // Its types predate exactOptionalPropertyTypes.
  const adapter = new FastifyAdapter();
  createBullBoard({
    queues: queues.map((queue) => new BullMQAdapter(queue)),
    serverAdapter: adapter as unknown as IServerAdapter,
  });
  adapter.setBasePath(PATH);
  await app.register(async (board) => {
    scopeRoutes(board, { scope: "admin", basic: true });
    board.addHook("onRequest", async (_request, reply) => {
      reply.header("content-security-policy", POLICY);
    });
    await board.register(adapter.registerPlugin(), { prefix: PATH });
  });
}
