import { withKeysOf } from "../../access/direct.ts";
import { listKeys, type ShownKey, showKey } from "../../access/shown.ts";
import { networkReason } from "../../client/errors.ts";
import { type ApiKey, parseApiKey } from "../../core/api-key.ts";
import { isObject } from "../../core/event.ts";
import { faultsProblem } from "../../core/faults.ts";
import { Problem } from "../../core/problem.ts";
import type { RedisTarget } from "../../redis/client.ts";
import { type CliIo, CommandFailure } from "../replay/io.ts";
import { parseServiceUrl } from "../replay/url.ts";

/** Of a key that is to be made, as a service takes it. */
export interface KeyInput {
  readonly name: string;
  readonly scopes: readonly string[];
  readonly expires?: string | undefined;
  readonly rateLimit?: string | undefined;
}

/** Where keys are managed. Everything throws a CommandFailure that says why it was not done. */
export interface KeyAdmin {
  create(input: KeyInput): Promise<ShownKey & { readonly key: string }>;
  list(): Promise<readonly ShownKey[]>;
  revoke(id: string): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 30_000;

/** Through a running service; the fetch of `io` sends the key of an admin, where one is needed. */
export function serviceAdmin(address: string, io: Pick<CliIo, "fetch">): KeyAdmin {
  const url = parseServiceUrl(address);
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const json = body !== undefined && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const response = await io.fetch(url + path, { method, ...json, signal }).catch((error: unknown) => {
      throw new CommandFailure(`${url} cannot be reached (${networkReason(error)})`);
    });
    const answer: unknown = response.status === 204 ? null : await response.json().catch(() => null);
    if (response.ok) return answer;
    const detail =
      isObject(answer) && typeof answer.detail === "string" ? answer.detail : "which is no answer of Tallymark";
    throw new CommandFailure(`${url} answered ${response.status}: ${detail}`);
  };
  return {
    create: async (input) => (await call("POST", "/v1/keys", input)) as ShownKey & { key: string },
    list: async () => ((await call("GET", "/v1/keys")) as { keys: ShownKey[] }).keys,
    revoke: async (id) => void (await call("DELETE", `/v1/keys/${encodeURIComponent(id)}`)),
  };
}

/** In the Redis of a deployment, whether or not a service runs on it. */
export function redisAdmin(target: RedisTarget, configured: readonly ApiKey[]): KeyAdmin {
  const run: typeof withKeysOf = (...args) =>
    withKeysOf(...args).catch((error: unknown) => {
      throw new CommandFailure(error instanceof Problem ? error.message : `Redis: ${(error as Error).message}`);
    });
  return {
    create: (input) =>
      run(target, configured, async (keys) => {
        const parsed = parseApiKey(JSON.parse(JSON.stringify(input)), Date.now());
        if (Array.isArray(parsed)) throw faultsProblem("invalid_api_key", parsed);
        const { key, made } = await keys.create(parsed);
        return { key, ...showKey(made, made.createdAt) };
      }),
    list: () => run(target, configured, async (keys) => listKeys(keys)),
    revoke: (id) => run(target, configured, (keys) => keys.revoke(id)),
  };
}
