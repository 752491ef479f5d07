import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { ApiKeyInput, parseApiKey } from "../core/api-key.ts";
import { faultsProblem } from "../core/faults.ts";
import { problems } from "../http/schemas.ts";
import type { KeyRing } from "./key-ring.ts";
import { listKeys, showKey } from "./shown.ts";

export interface KeyRoutesOptions {
  readonly keys: KeyRing;
  readonly now: () => number;
}

const Nullable = Type.Union([Type.String(), Type.Null()]);
const Shown = {
  id: Type.String(),
  name: Type.String(),
  scopes: Type.Array(Type.String()),
  expiresAt: Nullable,
  rateLimit: Nullable,
  createdAt: Type.Union([Type.String(), Type.Null()], { description: "null: of the file of keys" }),
};

export const keyRoutes: FastifyPluginAsyncTypebox<KeyRoutesOptions> = async (app, { keys, now }) => {
  const tags = ["API keys"];
  const config = { scope: "admin" } as const;

  app.post(
    "/v1/keys",
    {
      config,
      // The handler validates, so that all faults are told at once.
      validatorCompiler: () => () => true,
      schema: {
        tags,
        operationId: "createKey",
        summary: "Make an API key",
        description: "The answer alone holds the key. The first one must have the scope admin; it closes the service.",
        body: Type.Object(ApiKeyInput.properties, {
          additionalProperties: false,
          examples: [{ name: "operator", scopes: ["ingest", "read", "admin"] }],
        }),
        response: {
          201: Type.Object({ key: Type.String(), ...Shown }, { description: "The key, shown only here" }),
          ...problems(400, 409, 503),
        },
      },
    },
    async ({ body }, reply) => {
      const parsed = parseApiKey(body, now());
      if (Array.isArray(parsed)) throw faultsProblem("invalid_api_key", parsed);
      const { key, made } = await keys.create(parsed);
      // Nothing between here and the client may keep it.
      reply.code(201).header("cache-control", "no-store");
      return reply.send({ key, ...showKey(made, made.createdAt) });
    },
  );

  app.get(
    "/v1/keys",
    {
      config,
      schema: {
        tags,
        operationId: "listApiKeys",
        summary: "API keys, without the keys themselves",
        response: {
          200: Type.Object(
            { keys: Type.Array(Type.Object(Shown)) },
            { description: "Those of the file, then those made here" },
          ),
          ...problems(503),
        },
      },
    },
    async () => ({ keys: listKeys(keys) }),
  );

  app.delete(
    "/v1/keys/:id",
    {
      config,
      schema: {
        tags,
        operationId: "revokeKey",
        summary: "Revoke an API key",
        description: "Within two seconds no process takes it, and what it opened at /v1/live is closed.",
        params: Type.Object({ id: Type.String({ examples: ["9f86d081884c7d65"] }) }),
        response: { 204: Type.Null({ description: "Revoked" }), ...problems(404, 409, 503) },
      },
    },
    async ({ params }, reply) => {
      await keys.revoke(params.id);
      return reply.code(204).send(null);
    },
  );
};
