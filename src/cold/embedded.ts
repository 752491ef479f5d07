import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Worker } from "node:worker_threads";

/** The name under which Postgres clients look for a socket in a directory. */
const SOCKET = ".s.PGSQL.5432";

const SOCKET_DIRECTORY = "tallymark-pg-";
/** Names the socket's directory, for the next one to remove what a killed process has left. */
const RECORD = "postgres.socket";

/** After that it is ended as a crash would, ms. */
const STOP_MAX_MS = 10_000;

export interface EmbeddedPostgres {
  /** Directory of its socket, which stands for a host. */
  readonly host: string;
  stop(): Promise<void>;
  /** Ends it whatever it is at, which its files survive. */
  kill(): Promise<void>;
}

/**
 * Postgres within this process: PGlite in a thread, reached over a socket that only this user can open. Making its
 * database takes seconds the first time.
 */
export async function startEmbeddedPostgres(
  dataDir: string,
  onUnexpectedExit: (reason: Error) => void,
): Promise<EmbeddedPostgres> {
  await mkdir(dataDir, { recursive: true });
  const database = join(dataDir, "postgres");
  if (!existsSync(database)) await makeDatabase(database);
  const host = await makeSocketDirectory(dataDir);
  const thread = startThread({ database, socket: join(host, SOCKET) });
  try {
    await thread.ready;
  } catch (error) {
    await rm(host, { recursive: true, force: true });
    throw error;
  }
  let stopping = false;
  let reason = new Error("the thread of the embedded Postgres has ended");
  thread.worker.on("error", (error) => {
    reason = error as Error;
  });
  thread.worker.on("message", (text: string) => {
    reason = new Error(text);
  });
  thread.worker.on("exit", () => stopping || onUnexpectedExit(reason));
  return {
    host,
    stop: async () => {
      stopping = true;
      await thread.stop();
      await rm(host, { recursive: true, force: true });
    },
    kill: async () => {
      stopping = true;
      await thread.worker.terminate();
    },
  };
}

/**
 * Made under another name and moved, so that what a killed process has half made is never opened; and in a thread of its
 * own, whose 500 MB go with it.
 */
async function makeDatabase(database: string): Promise<void> {
  const draft = `${database}.new`;
  await rm(draft, { recursive: true, force: true });
  const thread = startThread({ database: draft, socket: null });
  await thread.ready;
  await thread.stop();
  await rename(draft, database);
}

/** Not in the data directory: the path of a socket has 107 bytes at most. */
async function makeSocketDirectory(dataDir: string): Promise<string> {
  const record = join(dataDir, RECORD);
  const last = await readFile(record, "utf8").catch(() => "");
  // Its owner has ended: two on the same files would ruin them.
  if (basename(last).startsWith(SOCKET_DIRECTORY)) await rm(last, { recursive: true, force: true });
  const host = await mkdtemp(join(tmpdir(), SOCKET_DIRECTORY));
  await writeFile(record, host);
  return host;
}

function startThread(workerData: { readonly database: string; readonly socket: string | null }) {
  const worker = new Worker(new URL("./pglite-worker.mjs", import.meta.url), { workerData });
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  return {
    worker,
    /** Rejects when it ends before. */
    ready: once(worker, "message"),
    stop: async () => {
      worker.postMessage("stop");
      const deadline = setTimeout(() => worker.terminate(), STOP_MAX_MS);
      await exited;
      clearTimeout(deadline);
    },
  };
}
