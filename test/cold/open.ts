import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../src/cold/database.ts";
import type { TestDatabase } from "../support/databases.ts";

export interface OpenedDatabase {
  readonly database: Database;
  readonly dataDir: string;
  /** `null`: the embedded one. */
  readonly url: string | null;
  close(): Promise<void>;
}

/** An empty database for one suite. */
export async function openDatabase(start: () => Promise<TestDatabase>): Promise<OpenedDatabase> {
  const server = await start();
  const dataDir = await mkdtemp(join(tmpdir(), "tallymark-cold-"));
  const url = server.url ?? null;
  const database = new Database({ url, dataDir });
  return {
    database,
    dataDir,
    url,
    close: async () => {
      await database.close();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
