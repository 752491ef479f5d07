import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { IServerAdapter } from "@bull-board/api/typings/app";
import { FastifyAdapter } from "@bull-board/fastify";
import type { Queue } from "bullmq";
import type { FastifyInstance } from "fastify";

const PATH = "/jobs";

/** The BullMQ board at `/jobs`: queues, their jobs and failures. */
export async function registerBoard(app: FastifyInstance, queues: readonly Queue[]): Promise<void> {
  // Its types predate exactOptionalPropertyTypes.
  const adapter = new FastifyAdapter();
  createBullBoard({
    queues: queues.map((queue) => new BullMQAdapter(queue)),
    serverAdapter: adapter as unknown as IServerAdapter,
  });
  adapter.setBasePath(PATH);
  await app.register(adapter.registerPlugin(), { prefix: PATH });
}
