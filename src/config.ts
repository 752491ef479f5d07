import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import type { ApiKey } from "./core/api-key.ts";
import type { CounterDefinition } from "./core/counter.ts";
import { parseCounter } from "./core/counter-parse.ts";
import { parseDuration } from "./core/duration.ts";
import { ConfigurationError } from "./core/errors.ts";
import { isObject } from "./core/event.ts";
import { parseKeysFile } from "./core/keys-file.ts";
import { PARTITIONS_MAX } from "./core/limits.ts";
import { parseRate, RATE_RULE, type Rate } from "./core/rate.ts";
import { parseLocation } from "./lake/location.ts";
import type { LakeLocation } from "./lake/store.ts";
import { parseRedisUrl, type RedisTarget } from "./redis/client.ts";
import type { Durability } from "./redis/deployment.ts";

export const ROLES = ["api", "worker", "live", "jobs"] as const;
/** Not among those that a process has by default, unless `TALLYMARK_ARCHIVE` says where to. */
export const ARCHIVE_ROLE = "archive";
export type Role = (typeof ROLES)[number] | typeof ARCHIVE_ROLE;

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
  /** Whether webhooks may go to addresses that are not on the public internet. */
  readonly webhookAllowPrivate: boolean;
  /** Where raw events are archived. `off`: archiving is to be ended; `null`: nothing is said. */
  readonly archive: LakeLocation | "off" | null;
  /** By event time, ms; `null`: for ever. */
  readonly archiveKeepMs: number | null;
  /** Keys of `TALLYMARK_API_KEYS_FILE`. */
  readonly apiKeys: readonly ApiKey[];
  /** Whether everybody may do everything while there is no API key: on loopback, or with `--insecure`. */
  readonly mayBeOpen: boolean;
  /** Of callers that have none of their own; `null`: no limit. */
  readonly rateLimit: Rate | null;
  readonly logLevel: string;
  /** Origins of other hosts' pages that may use the service; `*`: all. */
  readonly allowedOrigins: readonly string[];
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

/** `"https://a.example,https://b.example:8443"` → list. */
function parseOrigins(text: string): string[] {
  const origins = text
    .split(",")
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "");
  const isOrigin = (origin: string) => origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin);
  return origins.every(isOrigin)
    ? origins
    : rule("must be origins like https://example.org, separated by commas, or *");
}

/** Path of a file of keys → its keys; every fault in it is told. */
function readKeysFile(path: string): readonly ApiKey[] {
  if (!path) return [];
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // A parser's message may show what it stumbled over, which here is a secret.
    const reason = error instanceof SyntaxError ? "is not valid JSON" : (error as Error).message;
    return rule(`cannot read ${path}: ${reason}`);
  }
  const { keys, faults } = parseKeysFile(value);
  if (faults.length > 0) throw new ConfigurationError(faults.map((fault) => `TALLYMARK_API_KEYS_FILE: ${fault}`));
  return keys;
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
  archive: {
    variable: "TALLYMARK_ARCHIVE",
    field: "archive",
    fallback: "",
    parse: (text: string) => (text === "" ? null : text === "off" ? "off" : parseLocation(text)),
  },
  archiveKeepMs: {
    variable: "TALLYMARK_ARCHIVE_KEEP",
    field: "archiveKeep",
    fallback: "",
    parse: (text: string) =>
      text ? (parseDuration(text) ?? rule("must be <n>s, <n>m, <n>h or <n>d, or unset for ever")) : null,
  },
  apiKeysFile: {
    variable: "TALLYMARK_API_KEYS_FILE",
    field: "apiKeysFile",
    fallback: "",
    parse: readKeysFile,
  },
  webhookAllowPrivate: {
    variable: "TALLYMARK_WEBHOOK_ALLOW_PRIVATE",
    field: "webhookAllowPrivate",
    fallback: "0",
    parse: (text: string) =>
      ["0", "1", "true", "false"].includes(text) ? text === "1" || text === "true" : rule("must be 0 or 1"),
  },
  rateLimit: {
    variable: "TALLYMARK_RATE_LIMIT",
    field: "rateLimit",
    fallback: "",
    parse: (text: string) => (text ? (parseRate(text) ?? rule(RATE_RULE)) : null),
  },
  allowedOrigins: {
    variable: "TALLYMARK_ALLOWED_ORIGINS",
    field: "allowedOrigins",
    fallback: "",
    parse: parseOrigins,
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
  const host = read(SETTINGS.host);
  const config: Omit<Config, "roles"> = {
    host,
    apiKeys: read(SETTINGS.apiKeysFile),
    mayBeOpen: insecure === true || (host !== undefined && isLoopback(host)),
    rateLimit: read(SETTINGS.rateLimit),
    port: read(SETTINGS.port),
    dataDir: read(SETTINGS.dataDir),
    redis: read(SETTINGS.redis),
    databaseUrl: read(SETTINGS.databaseUrl),
    partitions: read(SETTINGS.partitions),
    dedupeHorizonMs: read(SETTINGS.dedupeHorizonMs),
    durability: read(SETTINGS.durability),
    archive: read(SETTINGS.archive),
    archiveKeepMs: read(SETTINGS.archiveKeepMs),
    webhookAllowPrivate: read(SETTINGS.webhookAllowPrivate),
    logLevel: read(SETTINGS.logLevel),
    allowedOrigins: read(SETTINGS.allowedOrigins),
    counters: parseCounters(fromFile.counters, faults),
  };
  const complete = { ...config, roles: parseRoles(roles, config.archive, faults) };
  faults.push(...combinationFaults(complete));
  if (faults.length > 0) throw new ConfigurationError(faults);
  return Object.freeze(complete);
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

function parseRoles(text: string | undefined, archive: Config["archive"], faults: string[]): ReadonlySet<Role> {
  const known: readonly string[] = [...ROLES, ARCHIVE_ROLE];
  const hasLake = archive !== null && archive !== "off";
  if (text === undefined) return new Set<Role>(hasLake ? [...ROLES, ARCHIVE_ROLE] : ROLES);
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) faults.push(`--roles: ${unknown.join(", ")}: must be among ${known.join(", ")}`);
  if (names.includes(ARCHIVE_ROLE) && !hasLake) {
    faults.push("TALLYMARK_ARCHIVE: must say where to, for the role archive");
  }
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

function combinationFaults(config: Config): string[] {
  const faults: string[] = [];
  const { durability } = config as Partial<Config>;
  if (ROLES.some((role) => !config.roles.has(role))) {
    if (config.redis === null) faults.push("REDIS_URL: is needed when a process has only some of the roles");
    if (config.databaseUrl === null) faults.push("DATABASE_URL: is needed when a process has only some of the roles");
  }
  if (config.redis === null && durability?.kind === "replicas") {
    faults.push("TALLYMARK_DURABILITY: replicas:N needs REDIS_URL, the embedded Redis has no replicas");
  }
  return faults;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
