import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { CounterDefinition } from "./core/counter.ts";
import { parseCounter } from "./core/counter-parse.ts";
import { parseDuration } from "./core/duration.ts";
import { ConfigurationError } from "./core/errors.ts";
import { isObject } from "./core/event.ts";
import { PARTITIONS_MAX } from "./core/limits.ts";
import { parseRedisUrl, type RedisTarget } from "./redis/client.ts";
import type { Durability } from "./redis/deployment.ts";

export const ROLES = ["api", "worker", "live", "jobs"] as const;
export type Role = (typeof ROLES)[number];

export interface Config {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  /** `null`: the embedded server. */
  readonly redis: RedisTarget | null;
  readonly databaseUrl: string | null;
  readonly partitions: number;
  readonly dedupeHorizonMs: number;
  readonly durability: Durability;
  readonly logLevel: string;
  readonly roles: ReadonlySet<Role>;
  /** `null`: the configuration says nothing about counters. */
  readonly counters: readonly CounterDefinition[] | null;
}

/** Where the configuration comes from. */
export interface ConfigSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--config`; without it `tallymark.config.json` is read where there is one. */
  readonly file?: string | undefined;
  /** `--roles`. */
  readonly roles?: string | undefined;
  /** `--insecure`. */
  readonly insecure?: boolean | undefined;
}

/** A setting: its variable, its field in the file, its default, and how its text becomes a value (or throws a rule). */
interface Setting<T> {
  readonly variable: string;
  readonly field: string;
  readonly fallback: string;
  readonly parse: (text: string) => T;
}

function rule(text: string): never {
  throw new Error(text);
}

function wholeNumber(min: number, max: number) {
  return (text: string) => {
    const value = Number(text);
    return /^\d+$/.test(text) && value >= min && value <= max
      ? value
      : rule(`must be a whole number from ${min} to ${max}`);
  };
}

function parseDurability(text: string): Durability {
  const match = /^replicas:([1-9]\d?)$/.exec(text);
  if (match) return { kind: "replicas", count: Number(match[1]) };
  if (text === "everysec" || text === "always") return { kind: text };
  return rule("must be everysec, always or replicas:N");
}

const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];

const SETTINGS = {
  host: {
    variable: "TALLYMARK_HOST",
    field: "host",
    fallback: "127.0.0.1",
    parse: (text: string) => text || rule("must not be empty"),
  },
  port: { variable: "TALLYMARK_PORT", field: "port", fallback: "8080", parse: wholeNumber(0, 65_535) },
  dataDir: {
    variable: "TALLYMARK_DATA_DIR",
    field: "dataDir",
    fallback: "./data",
    parse: (text: string) => resolve(text || rule("must not be empty")),
  },
  redis: {
    variable: "REDIS_URL",
    field: "redisUrl",
    fallback: "",
    parse: (text: string) => (text ? parseRedisUrl(text) : null),
  },
  databaseUrl: { variable: "DATABASE_URL", field: "databaseUrl", fallback: "", parse: (text: string) => text || null },
  partitions: {
    variable: "TALLYMARK_PARTITIONS",
    field: "partitions",
    fallback: "1",
    parse: wholeNumber(1, PARTITIONS_MAX),
  },
  dedupeHorizonMs: {
    variable: "TALLYMARK_DEDUPE_HORIZON",
    field: "dedupeHorizon",
    fallback: "1h",
    parse: (text: string) => parseDuration(text) ?? rule("must be <n>s, <n>m, <n>h or <n>d"),
  },
  durability: { variable: "TALLYMARK_DURABILITY", field: "durability", fallback: "everysec", parse: parseDurability },
  apiKeysFile: {
    variable: "TALLYMARK_API_KEYS_FILE",
    field: "apiKeysFile",
    fallback: "",
    // Accepting it without checking keys would leave open what its owner believes is locked.
    parse: (text: string) => text && rule("API keys are not supported by this version"),
  },
  webhookAllowPrivate: {
    variable: "TALLYMARK_WEBHOOK_ALLOW_PRIVATE",
    field: "webhookAllowPrivate",
    fallback: "0",
    parse: (text: string) => (["0", "1", "true", "false"].includes(text) ? text : rule("must be 0 or 1")),
  },
  logLevel: {
    variable: "TALLYMARK_LOG_LEVEL",
    field: "logLevel",
    fallback: "info",
    parse: (text: string) => (LOG_LEVELS.includes(text) ? text : rule(`must be one of ${LOG_LEVELS.join(", ")}`)),
  },
} as const satisfies Record<string, Setting<unknown>>;

/** The configuration, or a ConfigurationError with every fault in it. The environment wins over the file. */
export function loadConfig({ env, file, roles, insecure }: ConfigSources): Config {
  const faults: string[] = [];
  const fromFile = readConfigFile(file, faults);
  const read = <T>({ variable, field, fallback, parse }: Setting<T>): T => {
    const inEnv = env[variable] !== undefined && env[variable] !== "";
    const text = inEnv ? (env[variable] as string) : String(fromFile[field] ?? fallback);
    try {
      return parse(text);
    } catch (error) {
      const name = inEnv || fromFile[field] === undefined ? variable : field;
      const messages = error instanceof ConfigurationError ? error.faults : [`${name}: ${(error as Error).message}`];
      faults.push(...messages);
      return undefined as T; // never seen outside: with a fault, no configuration is returned
    }
  };
  read(SETTINGS.apiKeysFile);
  read(SETTINGS.webhookAllowPrivate);
  const config: Config = {
    host: read(SETTINGS.host),
    port: read(SETTINGS.port),
    dataDir: read(SETTINGS.dataDir),
    redis: read(SETTINGS.redis),
    databaseUrl: read(SETTINGS.databaseUrl),
    partitions: read(SETTINGS.partitions),
    dedupeHorizonMs: read(SETTINGS.dedupeHorizonMs),
    durability: read(SETTINGS.durability),
    logLevel: read(SETTINGS.logLevel),
    roles: parseRoles(roles, faults),
    counters: parseCounters(fromFile.counters, faults),
  };
  faults.push(...combinationFaults(config, insecure ?? false));
  if (faults.length > 0) throw new ConfigurationError(faults);
  return Object.freeze(config);
}

const DEFAULT_FILE = "tallymark.config.json";

function readConfigFile(given: string | undefined, faults: string[]): Record<string, unknown> {
  const path = given ?? DEFAULT_FILE;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (given !== undefined) faults.push(`--config: cannot read ${path}: ${(error as Error).message}`);
    return {};
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    faults.push(`${path}: is not valid JSON: ${(error as Error).message}`);
    return {};
  }
  if (!isObject(parsed)) {
    faults.push(`${path}: must hold a JSON object`);
    return {};
  }
  const known = new Set<string>([...Object.values(SETTINGS).map(({ field }) => field), "counters"]);
  for (const field of Object.keys(parsed)) {
    if (!known.has(field)) faults.push(`${field}: is not a field of the configuration file`);
  }
  return parsed;
}

function parseRoles(text: string | undefined, faults: string[]): ReadonlySet<Role> {
  if (text === undefined) return new Set(ROLES);
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !(ROLES as readonly string[]).includes(name));
  if (unknown.length > 0) faults.push(`--roles: ${unknown.join(", ")}: must be among ${ROLES.join(", ")}`);
  return new Set(names as Role[]);
}

function parseCounters(value: unknown, faults: string[]): readonly CounterDefinition[] | null {
  if (value === undefined) return null;
  if (!Array.isArray(value)) {
    faults.push("counters: must be an array of counter definitions");
    return null;
  }
  const counters: CounterDefinition[] = [];
  for (const [i, item] of value.entries()) {
    const parsed = parseCounter(item);
    if (Array.isArray(parsed))
      faults.push(...parsed.map(({ field, detail }) => `counters[${i}]${field && `.${field}`}: ${detail}`));
    else if (counters.some(({ name }) => name === parsed.name)) faults.push(`counters[${i}].name: is there twice`);
    else counters.push(parsed);
  }
  return counters;
}

function combinationFaults(config: Config, insecure: boolean): string[] {
  const faults: string[] = [];
  const { host = "", durability } = config as Partial<Config>;
  if (config.roles.size < ROLES.length) {
    if (config.redis === null) faults.push("REDIS_URL: is needed when a process has only some of the roles");
    if (config.databaseUrl === null) faults.push("DATABASE_URL: is needed when a process has only some of the roles");
  }
  if (config.redis === null && durability?.kind === "replicas") {
    faults.push("TALLYMARK_DURABILITY: replicas:N needs REDIS_URL, the embedded Redis has no replicas");
  }
  if (host && !isLoopback(host) && !insecure) {
    faults.push(
      `TALLYMARK_HOST: ${host} can be reached from outside and no API key is configured; use a loopback address or --insecure`,
    );
  }
  return faults;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
