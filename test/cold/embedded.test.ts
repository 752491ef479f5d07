import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ColdUnavailable, Database } from "../../src/cold/database.ts";

const WRITER = fileURLToPath(new URL("./writer.ts", import.meta.url));

/** A busy machine takes its time. */
const POLL = { timeout: 30_000 };

let dataDir: string;
let database: Database;
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "tallymark-cold-"));
  // Its socket is then the only one there.
  vi.stubEnv("TMPDIR", dataDir);
  database = new Database({ url: null, dataDir });
  // Making it takes its time.
  await database.query("SELECT 1");
});
afterAll(async () => {
  await database.close();
  vi.unstubAllEnvs();
  await rm(dataDir, { recursive: true, force: true });
});

test("the session ends, which ends its thread: unavailable, and then available again with all that was committed", async () => {
  await database.transaction((query) => query("CREATE TABLE kept AS SELECT 1 AS n"));
  const [host] = (await readdir(dataDir)).filter((name) => name.startsWith("tallymark-pg-"));
  const intruder = connect(join(dataDir, host as string, ".s.PGSQL.5432"));
  intruder.on("error", () => {});
  intruder.resume();
  // No message of the protocol begins with that byte.
  intruder.end(Buffer.from([0xff, 0, 0, 0, 4]));
  await expect.poll(() => database.failure, POLL).toMatchObject({ message: "invalid frontend message type 255" });
  expect(await database.query("SELECT n FROM kept")).toEqual([{ n: 1 }]);
  expect(database.failure).toBeNull();
  expect((await readdir(dataDir)).filter((name) => name.startsWith("tallymark-pg-"))).toHaveLength(1);
});

test("a database that cannot be opened is unavailable", async () => {
  const impossible = new Database({ url: null, dataDir: "/dev/null" });
  await expect(impossible.query("SELECT 1")).rejects.toBeInstanceOf(ColdUnavailable);
});

test("the process is killed while it writes: it opens again, with every committed batch and no part of another", {
  timeout: 180_000,
}, async () => {
  await database.close();
  let committed = 0;
  for (const batchesBeforeKill of [1, 3, 2]) {
    const writer = spawn(process.execPath, ["--import", "tsx", WRITER, dataDir, String(committed)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let last = 0;
    try {
      for await (const line of createInterface(writer.stdout)) {
        last = Number(line);
        if (last >= committed + batchesBeforeKill) break;
      }
    } finally {
      const exited = once(writer, "exit");
      writer.kill("SIGKILL");
      await exited;
    }
    const rows = await database.query<{ batch: string; rows: string }>(
      "SELECT generation AS batch, count(*) AS rows FROM cells GROUP BY generation ORDER BY generation",
    );
    await database.close();
    expect(rows.length).toBeGreaterThanOrEqual(last);
    expect(rows).toEqual(rows.map((_, i) => ({ batch: i + 1, rows: "3000" })));
    committed = rows.length;
  }
  // Nor do the killed ones' sockets pile up.
  expect((await readdir(dataDir)).filter((name) => name.startsWith("tallymark-pg-"))).toEqual([]);
});
