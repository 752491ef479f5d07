import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import fastifyWebsocket from "@fastify/websocket";
import { Type } from "typebox";
import type { KeyRing } from "../access/key-ring.ts";
import { Problem } from "../core/problem.ts";
import { checkOrigin } from "../http/origins.ts";
import { problems } from "../http/schemas.ts";
import { Hub, type HubDependencies } from "./hub.ts";
import { FRAME_BYTES_MAX } from "./limits.ts";
import { parseSubscription } from "./protocol.ts";
import { serveSocket } from "./socket.ts";
import { serveEvents } from "./sse.ts";

/** Close code: what let the viewer in does so no more. */
const CLOSE_UNAUTHORIZED = 4_401;

export interface LiveRoutesOptions extends HubDependencies {
  readonly keys: KeyRing;
  readonly allowedOrigins: readonly string[];
}

const Text = Type.Optional(Type.String());

/** Of the WebSocket: what a frame says, in a query string. */
const EventsQuery = Type.Object({
  feed: Type.String({ description: "value, series, top, alerts or stats", examples: ["value"] }),
  counter: Type.Optional(Type.String({ examples: ["sales"] })),
  key: Type.Optional(Type.Array(Type.String(), { description: "Once per `by` field, in order; absent: the total" })),
  other: Type.Optional(Type.Boolean()),
  last: Type.Optional(Type.String({ description: "As of the lookup", examples: ["5m"] })),
  from: Text,
  to: Text,
  window: Text,
  limit: Type.Optional(Type.Integer()),
  by: Text,
  every: Type.Optional(Type.String({ description: "At most one update per so long, 100ms to 1m; default 1s" })),
  after: Type.Optional(Type.String({ description: "alerts: id of the last transition that was seen" })),
});

export const liveRoutes: FastifyPluginAsyncTypebox<LiveRoutesOptions> = async (
  app,
  { allowedOrigins, keys, ...deps },
) => {
  const hub = new Hub(deps);
  const onTooSlow = () => deps.metrics.liveTooSlow.inc();
  await app.register(fastifyWebsocket, {
    options: { maxPayload: FRAME_BYTES_MAX, perMessageDeflate: false },
    preClose: (done) => done(),
  });
  // Before the server waits for its connections to end, since these end only when they are told to.
  app.addHook("preClose", async () => hub.stop());
  app.addHook("onRequest", async ({ headers }) => checkOrigin(headers.origin, headers.host, allowedOrigins));

  app.route({
    method: "GET",
    url: "/v1/live",
    config: { scope: "read" },
    schema: {
      tags: ["Live"],
      operationId: "openLive",
      summary: "Live feeds over a WebSocket",
      description:
        'JSON text frames. Send `{"op":"subscribe","id","feed",…}` with the parameters of the lookup, and ' +
        '`{"op":"unsubscribe","id"}`; each subscription answers with a `snapshot`, then with an `update` when it changed.',
      response: problems(403, 426),
    },
    handler: async () => {
      throw new Problem("upgrade_required", "open this address as a WebSocket, or use /v1/live/sse");
    },
    wsHandler: (socket, { caller }) => {
      const end = () => socket.close(CLOSE_UNAUTHORIZED, "the API key is not valid any more");
      socket.on("close", keys.watch(caller?.key ?? null, end));
      serveSocket(hub, socket, onTooSlow);
    },
  });

  app.get(
    "/v1/live/sse",
    {
      config: { scope: "read" },
      schema: {
        tags: ["Live"],
        operationId: "streamLive",
        summary: "One live feed as server-sent events",
        querystring: EventsQuery,
        response: {
          200: {
            description: "Events snapshot, update and error",
            content: { "text/event-stream": { schema: Type.String() } },
          },
          ...problems(400, 403),
        },
      },
    },
    async ({ query, headers, caller }, reply) => {
      const resume = headers["last-event-id"];
      const isResumed = query.feed === "alerts" && typeof resume === "string";
      const subscription = parseSubscription(isResumed ? { ...query, after: resume } : query);
      reply.hijack();
      const end = () => reply.raw.end();
      reply.raw.on("close", keys.watch(caller?.key ?? null, end));
      serveEvents(hub, reply, subscription, onTooSlow);
    },
  );
};
