import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

/** The name under which Postgres clients look for a socket in a directory. */
const SOCKET = ".s.PGSQL.5432";

export interface EmbeddedPostgres {
  /** Directory of its socket, which stands for a host. */
  readonly host: string;
  stop(): Promise<void>;
}

/**
 * Postgres within this process: PGlite in a thread, reached over a socket that only this user can open. Making its
 * database takes seconds the first time.
 */
export async function startEmbeddedPostgres(
  dataDir: string,
  onUnexpectedExit: (error: unknown) => void,
): Promise<EmbeddedPostgres> {
  await mkdir(dataDir, { recursive: true });
  // Not in the data directory: the path of a socket has 107 bytes at most.
  const host = await mkdtemp(join(tmpdir(), "tallymark-pg-"));
  const workerData = { dataDir: join(dataDir, "postgres"), socket: join(host, SOCKET) };
  const worker = new Worker(new URL("./pglite-worker.mjs", import.meta.url), { workerData });
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  try {
    await once(worker, "message");
  } catch (error) {
    await rm(host, { recursive: true, force: true });
    throw error;
  }
  let stopping = false;
  worker.on("error", (error) => stopping || onUnexpectedExit(error));
  return {
    host,
    stop: async () => {
      stopping = true;
      worker.postMessage("stop");
      await exited;
      await rm(host, { recursive: true, force: true });
    },
  };
}
