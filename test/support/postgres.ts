import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { freePort } from "./ports.ts";

const run = promisify(execFile);

/** How long a start may take on a busy machine, ms. */
const READY_MAX_MS = 60_000;

/** Where Debian puts the programs of each version. */
const DEBIAN = "/usr/lib/postgresql";

export interface TestPostgres {
  /** For `DATABASE_URL`. */
  readonly url: string;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
  /** Ends the sessions of the service, whatever they are at, COMMIT included. */
  endSessions(): Promise<void>;
  /** Starts it again on the same data. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Directory of the newest installed server's programs, `null` when there is none. */
export async function findPostgres(): Promise<string | null> {
  const versions = await readdir(DEBIAN).catch(() => []);
  const newest = versions.map(Number).sort((a, b) => b - a)[0];
  if (newest !== undefined) return join(DEBIAN, String(newest), "bin");
  if (process.env.TALLYMARK_REQUIRE_POSTGRES) throw new Error(`no Postgres server in ${DEBIAN}`);
  return null;
}

/** A real Postgres server of the test file's own. It refuses to run as root, so then the user `postgres` runs it. */
export async function startTestPostgres(bin: string): Promise<TestPostgres> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-postgres-"));
  const user = await postgresUser();
  if (user) await chown(directory, user.uid, user.gid);
  const options = { ...user, cwd: directory };
  const data = join(directory, "data");
  await run(join(bin, "initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], options);
  const port = await freePort();
  const args = ["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-c", `unix_socket_directories=`];
  const launch = () =>
    spawn(join(bin, "postgres"), [...args, "-c", "max_connections=50"], { ...options, stdio: "ignore" });
  let server = launch();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await answers(url);
  const end = async (signal: NodeJS.Signals) => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const exited = once(server, "exit");
    server.kill(signal);
    await exited;
  };
  return {
    url,
    // SIGQUIT: all its processes end at once, and the next start recovers.
    kill: () => end("SIGQUIT"),
    endSessions: async () => {
      const client = new pg.Client(url);
      await client.connect();
      await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tallymark'");
      await client.end();
    },
    start: async () => {
      server = launch();
      await answers(url);
    },
    stop: async () => {
      await end("SIGQUIT");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function postgresUser(): Promise<{ uid: number; gid: number } | null> {
  if (userInfo().uid !== 0) return null;
  const id = async (flag: string) => Number((await run("id", [flag, "postgres"])).stdout);
  return { uid: await id("-u"), gid: await id("-g") };
}

async function answers(url: string): Promise<void> {
  for (const giveUpAt = performance.now() + READY_MAX_MS; ; ) {
    try {
      const client = new pg.Client(url);
      await client.connect();
      return await client.end();
    } catch (error) {
      if (performance.now() > giveUpAt) throw error;
      await delay(100);
    }
  }
}
