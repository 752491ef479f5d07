import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Member } from "./member.ts";

/** The processes of a deployment: what each is called, and which roles it has. More kinds go here. */
const MEMBERS = [
  { name: "ingest-1", roles: "api,live" },
  { name: "ingest-2", roles: "api,live" },
  { name: "worker-1", roles: "worker" },
  { name: "worker-2", roles: "worker" },
  { name: "worker-3", roles: "worker" },
  { name: "jobs-1", roles: "jobs" },
] as const;

/** What processes are told where no Postgres is installed: then there are no jobs, and nobody asks for it. */
const NO_DATABASE = "postgres://127.0.0.1:1/none";

export interface FleetOptions {
  readonly main: string;
  readonly redisPort: number;
  readonly databaseUrl: string | null;
  readonly partitions: number;
  readonly counters: readonly unknown[];
  readonly env: Readonly<Record<string, string>>;
}

/** All service processes of a run, each under its supervisor. */
export class Fleet {
  readonly members: readonly Member[];
  readonly #directory: string;

  private constructor(members: readonly Member[], directory: string) {
    this.members = members;
    this.#directory = directory;
  }

  static async prepare({ main, redisPort, databaseUrl, partitions, counters, env }: FleetOptions): Promise<Fleet> {
    const directory = await mkdtemp(join(tmpdir(), "tallymark-torture-"));
    const config = join(directory, "config.json");
    await writeFile(config, JSON.stringify({ counters }));
    const environment = {
      ...inheritedEnvironment(),
      REDIS_URL: `redis://127.0.0.1:${redisPort}`,
      DATABASE_URL: databaseUrl ?? NO_DATABASE,
      TALLYMARK_PARTITIONS: String(partitions),
      TALLYMARK_DATA_DIR: directory,
      TALLYMARK_PORT: "0",
      TALLYMARK_LOG_LEVEL: "warn",
      TALLYMARK_WEBHOOK_ALLOW_PRIVATE: "1",
      ...env,
    };
    const some = MEMBERS.filter(({ roles }) => databaseUrl !== null || roles !== "jobs");
    const members = some.map(({ name, roles }) => {
      const args = [main, "serve", "--roles", roles, "--config", config];
      return new Member(name, roles, args, environment);
    });
    return new Fleet(members, directory);
  }

  withRole(role: string): Member[] {
    return this.members.filter(({ roles }) => roles.split(",").includes(role));
  }

  /** What any of them did that none should. */
  get failures(): string[] {
    return this.members.flatMap(({ failures }) => failures);
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A developer's own settings must not decide what a run sees. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const foreign = (name: string) => name.startsWith("TALLYMARK_") || name === "REDIS_URL" || name === "DATABASE_URL";
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign(name)));
}
