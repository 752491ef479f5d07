import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RedisClient } from "./client.ts";

export type ScriptName =
  | "apply"
  | "sum"
  | "acquire"
  | "tick"
  | "release"
  | "take-over"
  | "raise-version"
  | "define"
  | "admit"
  | "drop"
  | "requeue"
  | "freeze"
  | "restore"
  | "advance"
  | "forget"
  | "uncorrect"
  | "hold"
  | "transition"
  | "delete-alert"
  | "settle"
  | "resend"
  | "revoke-key"
  | "lake-join"
  | "lake-ack"
  | "lake-leave"
  | "stage"
  | "unstage"
  | "seam"
  | "fold"
  | "fold-mark";

/** Reads `lua/<name>.lua` of this package. */
export function readPackagedScript(name: ScriptName): string {
  return readFileSync(new URL(`../../lua/${name}.lua`, import.meta.url), "utf8");
}

/**
 * Scripts that write are allowed above `maxmemory`: they drain the stream, and refusing them would keep Redis full for
 * ever. Memory is guarded where events come in. (https://redis.io/docs/latest/develop/programmability/lua-api)
 */
const WRITING = "#!lua flags=allow-oom\n";
/** Scripts that only read go on where Redis refuses writes: a full disk, too few replicas. */
const READING = "#!lua flags=no-writes\n";
const READERS: ReadonlySet<ScriptName> = new Set<ScriptName>(["sum"]);

/** One Lua script, run by its digest and sent again when the server does not hold it. */
export class Script {
  readonly #source: string;
  readonly #digest: string;

  constructor(source: string) {
    this.#source = source;
    this.#digest = createHash("sha1").update(this.#source).digest("hex");
  }

  async run(
    client: RedisClient,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    try {
      return await client.evalsha(this.#digest, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw error;
      return client.eval(this.#source, keys.length, ...keys, ...args);
    }
  }
}

/** The scripts of a process. Tests give their own reader to run changed ones. */
export class Scripts {
  readonly #read: (name: ScriptName) => string;
  readonly #loaded = new Map<ScriptName, Script>();

  constructor(read: (name: ScriptName) => string = readPackagedScript) {
    this.#read = read;
  }

  get(name: ScriptName): Script {
    let script = this.#loaded.get(name);
    if (!script) {
      script = new Script((READERS.has(name) ? READING : WRITING) + this.#read(name));
      this.#loaded.set(name, script);
    }
    return script;
  }
}
