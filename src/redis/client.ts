import type { Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { ConfigurationError } from "../core/errors.ts";
import { encodingTogether } from "./script-call.ts";

export type RedisClient = Redis | Cluster;

/** Where Redis is: the parts of a `REDIS_URL`, or the embedded server's address. */
export type RedisTarget =
  | { readonly kind: "single"; readonly options: RedisOptions }
  | { readonly kind: "cluster"; readonly nodes: { host: string; port: number }[]; readonly options: RedisOptions };

/** A command that has no reply after this long, ms, has an unknown outcome. */
const COMMAND_TIMEOUT_MS = 5_000;
/** A connection that is not made after this long is given up, ms. */
const OPEN_MAX_MS = 5_000;
/** A sentinel that has not answered after this long, ms, is passed over: it may have frozen with its primary. */
const SENTINEL_TIMEOUT_MS = 1_000;
/** How long to wait for the nodes of a cluster that do not answer, ms: far below a lease, which must outlive it. */
const NODES_MAX_MS = 1_000;
/**
 * A connection on which nothing has come for so long, although something is asked for, ms, is made anew: a server that
 * freezes closes none, and another may have taken over. Above the commands' own limit, which says what is unknown.
 */
const SILENCE_MAX_MS = 6_000;
/** BullMQ's own waits take up to ten seconds. */
const QUEUE_SILENCE_MAX_MS = 15_000;
const RECONNECT_MAX_MS = 500;
const SLOTS_REFRESH_MS = 1_000;

const retryStrategy = (attempt: number) => Math.min(attempt * 50, RECONNECT_MAX_MS);

/**
 * Nothing is resent and nothing waits in a queue: a command fails at once when the connection does, its outcome
 * unknown, and whoever asked decides. By default ioredis sends a command again whose reply was lost, which turns one
 * XADD into two.
 */
const PROMPT: RedisOptions = {
  lazyConnect: true,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  connectTimeout: COMMAND_TIMEOUT_MS,
  keepAlive: 10_000,
  retryStrategy,
};

/**
 * What a connection is for.
 * `prompt`: requests and scripts. `blocking`: waits for entries, no limit but the command's own. `subscriber`: pub/sub,
 * which subscribes again by itself. `queue`: BullMQ, whose commands may all run twice.
 */
export type Purpose = "prompt" | "blocking" | "subscriber" | "queue";

const OPTIONS: Record<Purpose, RedisOptions> = {
  prompt: { ...PROMPT, commandTimeout: COMMAND_TIMEOUT_MS, socketTimeout: SILENCE_MAX_MS },
  blocking: { ...PROMPT, blockingTimeout: COMMAND_TIMEOUT_MS, socketTimeout: SILENCE_MAX_MS },
  subscriber: { ...PROMPT, enableOfflineQueue: true, maxRetriesPerRequest: null, socketTimeout: SILENCE_MAX_MS },
  queue: { ...PROMPT, enableOfflineQueue: true, maxRetriesPerRequest: null, socketTimeout: QUEUE_SILENCE_MAX_MS },
};

/** `redis://`, `rediss://`, `redis+sentinel://h1,h2/name`, `redis+cluster://h1,h2` → target. */
export function parseRedisUrl(url: string): RedisTarget {
  const match = /^(redis|rediss|redis\+sentinel|redis\+cluster):\/\/(?:([^@/]*)@)?([^/?]*)(?:\/([^?]*))?$/.exec(url);
  if (!match) {
    throw new ConfigurationError([
      "REDIS_URL: must be redis://host:port, rediss://…, redis+sentinel://h1,h2/name or redis+cluster://h1,h2",
    ]);
  }
  const [, scheme, userinfo, hosts = "", path = ""] = match;
  const auth = credentials(userinfo);
  const defaultPort = scheme === "redis+sentinel" ? 26_379 : 6_379;
  const nodes = hosts.split(",").map((text) => parseHost(text, defaultPort));
  const [first] = nodes as [{ host: string; port: number }];
  if (scheme === "redis+cluster") return { kind: "cluster", nodes, options: auth };
  if (scheme === "redis+sentinel") {
    if (!path) throw new ConfigurationError(["REDIS_URL: redis+sentinel://h1,h2/name lacks the name of the primary"]);
    const sentinel = { sentinels: nodes, name: path, sentinelCommandTimeout: SENTINEL_TIMEOUT_MS };
    return { kind: "single", options: { ...auth, ...sentinel } };
  }
  if (nodes.length > 1) {
    throw new ConfigurationError(["REDIS_URL: several hosts need redis+sentinel:// or redis+cluster://"]);
  }
  if (!/^\d*$/.test(path)) throw new ConfigurationError(["REDIS_URL: the path must be a database number"]);
  const tls = scheme === "rediss" ? { tls: {} } : {};
  return { kind: "single", options: { ...auth, ...first, ...tls, db: Number(path) } };
}

function credentials(userinfo: string | undefined): RedisOptions {
  if (!userinfo) return {};
  const [username, password] = userinfo.includes(":") ? userinfo.split(":", 2) : ["", userinfo];
  const decode = (text: string | undefined) => decodeURIComponent(text ?? "");
  return username ? { username: decode(username), password: decode(password) } : { password: decode(password) };
}

function parseHost(text: string, defaultPort: number): { host: string; port: number } {
  const match = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? defaultPort);
  if (!match || port > 65_535) throw new ConfigurationError([`REDIS_URL: "${text}" is not host or host:port`]);
  return { host: (match[1] as string).replace(/^\[|\]$/g, ""), port };
}

/**
 * Nodes of a cluster are connected on their first command, and commands that come meanwhile would fail, since nothing
 * waits in a queue. One that is dead or frozen must not keep the partitions of the others from going on.
 */
async function connectNodes(cluster: Cluster): Promise<void> {
  const waiting = cluster.nodes("all").filter(({ status }) => status === "wait");
  const connected = Promise.allSettled(waiting.map((node) => node.connect()));
  await Promise.race([connected, delay(NODES_MAX_MS, undefined, { ref: false })]);
}

/**
 * ioredis's own promise is never settled when the cluster was down as the connection was made: its client connects
 * again then, and only tells by an event that it has.
 */
async function connect(client: RedisClient): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const made = new Promise<void>((resolve, reject) => {
    const fail = () => reject(new Error(`Connection is closed: it was not made within ${OPEN_MAX_MS} ms`));
    timer = setTimeout(fail, OPEN_MAX_MS);
    client.once("ready", resolve);
    client.connect().catch(reject);
  });
  await made.finally(() => clearTimeout(timer));
}

/**
 * What is written in one turn of the event loop goes out together at its end: a write of its own is a call of the
 * operating system, which costs more than the command in it. So a command that was asked for in a turn is sent after
 * everything that the turn has read.
 */
function joiningWrites(client: Redis): Redis {
  return client.on("connect", () => {
    const stream: Writable = client.stream;
    const write = stream.write;
    stream.write = (...args: unknown[]) => {
      if (stream.writableCorked === 0) {
        stream.cork();
        setImmediate(() => stream.uncork());
      }
      return Reflect.apply(write, stream, args);
    };
  });
}

/** The servers that hold the data: one, or a cluster's primaries. */
export function primariesOf(client: RedisClient): Redis[] {
  return client instanceof Cluster ? client.nodes("master") : [client];
}

/** Makes the connections of a process and closes them all. */
export class Connections {
  readonly target: RedisTarget;
  readonly #onError: (error: Error) => void;
  readonly #open = new Set<RedisClient>();

  constructor(target: RedisTarget, onError: (error: Error) => void) {
    this.target = target;
    this.#onError = onError;
  }

  get isCluster(): boolean {
    return this.target.kind === "cluster";
  }

  /** A connection that has been made once; afterwards it reconnects by itself. */
  async open(purpose: Purpose): Promise<RedisClient> {
    const client = this.#make(OPTIONS[purpose]);
    client.on("error", this.#onError);
    this.#open.add(client);
    try {
      await connect(client);
      if (client instanceof Cluster) await connectNodes(client);
    } catch (error) {
      this.close(client);
      throw error;
    }
    return client;
  }

  #make(options: RedisOptions): RedisClient {
    const redisOptions = { ...options, ...this.target.options, replyMapping: "legacy" as const };
    if (this.target.kind === "single") return joiningWrites(encodingTogether(new Redis(redisOptions)));
    const cluster = new Cluster(this.target.nodes, {
      lazyConnect: true,
      enableOfflineQueue: options.enableOfflineQueue ?? true,
      clusterRetryStrategy: retryStrategy,
      // Retries here would send a command again whose outcome is unknown.
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      // Without them a failover is only noticed by looking.
      slotsRefreshInterval: SLOTS_REFRESH_MS,
      redisOptions,
    });
    return encodingTogether(cluster).on("+node", joiningWrites);
  }

  /** Closes one connection at once. */
  close(client: RedisClient): void {
    this.#open.delete(client);
    client.disconnect();
  }

  closeAll(): void {
    for (const client of [...this.#open]) this.close(client);
  }
}
