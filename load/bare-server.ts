import Fastify from "fastify";
import { Redis } from "ioredis";
import type { Address } from "../src/redis/embedded/probe.ts";
import { BARE_FIELD, BARE_HASH } from "./bare.ts";

/**
 * The least that a service over HTTP and Redis can be, a process of its own: one XADD for a POST, one HGET for a GET.
 * Its argument is the address of Redis, as JSON; it says where it listens, and ends with the process that started it.
 */

export interface FromBareServer {
  readonly url: string;
}

const redis = new Redis(JSON.parse(process.argv[2] as string) as Address);
const server = Fastify();
// The body goes on as it came: parsing it would only make the baseline slower.
server.removeContentTypeParser("application/json");
server.addContentTypeParser("application/json", { parseAs: "string" }, (_, body, done) => done(null, body));
server.post("/v1/events", async (request, reply) => {
  await redis.xadd("bench:events", "*", "event", request.body as string);
  return reply.code(202).send({ accepted: 1 });
});
server.get("/value", async () => ({ count: await redis.hget(BARE_HASH, BARE_FIELD) }));

const url = await server.listen({ host: "127.0.0.1", port: 0 });
process.on("disconnect", () => process.exit());
process.send?.({ url } satisfies FromBareServer);
