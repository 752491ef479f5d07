import { randomBytes } from "node:crypto";
import { type ApiKey, hashKey, idOfHash } from "../core/api-key.ts";
import { API_KEYS_MAX } from "../core/limits.ts";
import { Problem } from "../core/problem.ts";
import type { RedisClient } from "../redis/client.ts";
import { deleteApiKey, readApiKeys, type StoredApiKey, writeApiKey } from "../redis/commands/api-keys.ts";
import { API_KEYS_CHANNEL } from "../redis/keys.ts";
import type { Scripts } from "../redis/scripts.ts";

/** How often a process looks for changes by itself, ms; announcements usually come first. */
const POLL_MS = 1_000;
const KEY_BYTES = 32;

export interface KeyRingDependencies {
  readonly client: RedisClient;
  readonly subscriber: RedisClient;
  readonly scripts: Scripts;
  /** Of the file of keys. */
  readonly configured: readonly ApiKey[];
  /** Whether everybody may do everything while there is no key at all. */
  readonly mayBeOpen: boolean;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

interface Watch {
  readonly key: ApiKey | null;
  readonly onEnd: () => void;
}

/** The API keys as this process knows them, kept fresh, and the way to change them for everybody. */
export class KeyRing {
  readonly #deps: KeyRingDependencies;
  readonly #timer: NodeJS.Timeout;
  readonly #watches = new Set<Watch>();
  #stored: readonly StoredApiKey[];
  #byHash: ReadonlyMap<string, ApiKey> = new Map();

  private constructor(deps: KeyRingDependencies, stored: readonly StoredApiKey[]) {
    this.#deps = deps;
    this.#stored = stored;
    this.#take(stored);
    this.#timer = setInterval(() => this.#fetch().catch(deps.onError), POLL_MS);
    this.#timer.unref();
  }

  static async open(deps: KeyRingDependencies): Promise<KeyRing> {
    const ring = new KeyRing(deps, await readApiKeys(deps.client));
    deps.subscriber.on("message", (channel: string) => {
      if (channel === API_KEYS_CHANNEL) ring.#fetch().catch(deps.onError);
    });
    await deps.subscriber.subscribe(API_KEYS_CHANNEL);
    return ring;
  }

  get isEmpty(): boolean {
    return this.#byHash.size === 0;
  }

  /** Nobody needs a key. A key that has expired still closes the service. */
  get isOpen(): boolean {
    return this.#deps.mayBeOpen && this.isEmpty;
  }

  get configured(): readonly ApiKey[] {
    return this.#deps.configured;
  }

  get stored(): readonly StoredApiKey[] {
    return this.#stored;
  }

  /** The key that a client gave; `null` when it is none of ours, or not valid any more. */
  find(key: string): ApiKey | null {
    // What is compared is a hash, so the time that it takes says nothing of the key.
    const known = this.#byHash.get(hashKey(key));
    return known && this.#isValid(known) ? known : null;
  }

  /** Makes a key; throws a Problem `api_key_conflict`. The key itself is in the answer and nowhere else. */
  async create(input: Omit<ApiKey, "id" | "hash">): Promise<{ readonly key: string; readonly made: StoredApiKey }> {
    const { client, now } = this.#deps;
    await this.#fetch();
    if (this.isEmpty && !input.scopes.includes("admin")) {
      throw new Problem("api_key_conflict", "scopes: the first key must have admin, else nobody could make another");
    }
    if (this.#stored.length >= API_KEYS_MAX) {
      throw new Problem("api_key_conflict", `there are ${API_KEYS_MAX} keys already, which is the most there can be`);
    }
    const key = `tm_${randomBytes(KEY_BYTES).toString("base64url")}`;
    const hash = hashKey(key);
    const made = { id: idOfHash(hash), hash, ...input, createdAt: now() };
    await writeApiKey(client, made);
    await this.#announce();
    return { key, made };
  }

  /** Throws a Problem `unknown_api_key` or `api_key_conflict`. */
  async revoke(id: string): Promise<void> {
    const { client, scripts, configured, now } = this.#deps;
    if (configured.some((key) => key.id === id)) {
      throw new Problem("api_key_conflict", `key "${id}" is configured by a file; take it out there`);
    }
    const hasOther = configured.some((key) => key.scopes.includes("admin") && this.#isValid(key));
    const outcome = await deleteApiKey(client, scripts, id, now(), hasOther);
    if (outcome === "unknown") throw new Problem("unknown_api_key", `there is no key "${id}"`);
    if (outcome === "last") {
      throw new Problem("api_key_conflict", `key "${id}" is the last one with the scope admin; make another first`);
    }
    await this.#announce();
  }

  /** Calls `onEnd` once what let a caller in does so no more; `key` is `null` for one that needed none. @returns ends it */
  watch(key: ApiKey | null, onEnd: () => void): () => void {
    const watch = { key, onEnd };
    this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #announce(): Promise<void> {
    const { client } = this.#deps;
    await client.publish(API_KEYS_CHANNEL, "");
    await this.#fetch();
  }

  /** Replies of one connection come in order, so an older one never replaces a newer one. */
  async #fetch(): Promise<void> {
    this.#take(await readApiKeys(this.#deps.client));
    for (const watch of this.#watches) {
      if (watch.key === null ? this.isOpen : this.#byHash.has(watch.key.hash) && this.#isValid(watch.key)) continue;
      this.#watches.delete(watch);
      watch.onEnd();
    }
  }

  #take(stored: readonly StoredApiKey[]): void {
    this.#stored = stored;
    this.#byHash = new Map([...stored, ...this.#deps.configured].map((key) => [key.hash, key]));
  }

  #isValid({ expiresAt }: ApiKey): boolean {
    return expiresAt === null || expiresAt > this.#deps.now();
  }
}
