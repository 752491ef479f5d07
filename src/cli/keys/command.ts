import { Command } from "commander";
import type { ShownKey } from "../../access/shown.ts";
import { loadConfig } from "../../config.ts";
import { ConfigurationError } from "../../core/errors.ts";
import { abortOnInterrupt, type CliIo, CommandFailure, exitCodeOf, processIo } from "../replay/io.ts";
import { defaultServiceUrl } from "../replay/url.ts";
import { type Target, withApiKey, withKey } from "../target.ts";
import { type KeyAdmin, redisAdmin, serviceAdmin } from "./admin.ts";

type KeysOptions = Partial<Target>;

interface CreateOptions extends KeysOptions {
  readonly name: string;
  readonly scopes: string;
  readonly expires?: string;
  readonly rateLimit?: string;
}

export function keysCommand(): Command {
  const create = withPlace(new Command("create"))
    .description("make a key and print it; it is shown this once")
    .requiredOption("--name <name>", "what it is for")
    .requiredOption("--scopes <scopes>", "comma-separated among ingest, read, admin")
    .option("--expires <duration>", "how long it is valid, for instance 90d (default: for ever)")
    .option("--rate-limit <rate>", "events, and requests of other kinds, for instance 1000/s (default: the service's)")
    .action(({ name, scopes, expires, rateLimit, ...place }: CreateOptions) =>
      run(place, async (admin, io) => {
        const made = await admin.create({ name, scopes: scopes.split(",").map(trim), expires, rateLimit });
        io.stdout.write(`${made.key}\n`);
        io.stderr.write(`Made ${lineOf(made)}\n`);
      }),
    );
  const list = withPlace(new Command("list"))
    .description("list keys: id, name, scopes, end, rate limit, where from")
    .action((place: KeysOptions) =>
      run(place, async (admin, io) => {
        for (const key of await admin.list()) io.stdout.write(`${lineOf(key)}\n`);
      }),
    );
  const revoke = withPlace(new Command("revoke"))
    .description("revoke a key, on every process within two seconds")
    .argument("<id>", "the key's id, see list")
    .action((id: string, place: KeysOptions) => run(place, (admin) => admin.revoke(id)));
  return new Command("keys").description("manage API keys").addCommand(create).addCommand(list).addCommand(revoke);
}

function withPlace(command: Command): Command {
  return withApiKey(
    command.option("--url <url>", "where a service is (default: REDIS_URL directly, else the service on this machine)"),
  );
}

/** Without an address or a key, the Redis of the configuration is asked itself: there, nobody needs a key to make one. */
function findAdmin({ url, apiKey }: KeysOptions, io: CliIo): KeyAdmin {
  if (url === undefined && apiKey === undefined) {
    const { redis, apiKeys } = loadConfig({ env: process.env });
    if (redis !== null) return redisAdmin(redis, apiKeys);
  }
  return serviceAdmin(url ?? defaultServiceUrl(), withKey(io, apiKey));
}

async function run(place: KeysOptions, action: (admin: KeyAdmin, io: CliIo) => Promise<void>): Promise<void> {
  const io = processIo(abortOnInterrupt());
  process.exitCode = await exitCodeOf(async () => {
    try {
      await action(findAdmin(place, io), io);
    } catch (error) {
      throw error instanceof ConfigurationError ? new CommandFailure(error.message) : error;
    }
    return 0;
  });
}

const trim = (text: string): string => text.trim();

function lineOf({ id, name, scopes, expiresAt, rateLimit, createdAt }: ShownKey): string {
  const from = createdAt === null ? "file" : `made ${createdAt}`;
  return [id, name, scopes.join(","), expiresAt ?? "never ends", rateLimit ?? "-", from].join("\t");
}
