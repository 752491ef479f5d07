// Embedded Postgres in a thread of its own: while it works, it blocks its event loop.
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

const db = await PGlite.create(workerData.dataDir);
const server = new PGLiteSocketServer({ db, path: workerData.socket, maxConnections: 4 });
await server.start();
parentPort?.postMessage("ready");
parentPort?.once("message", async () => {
  await server.stop();
  await db.close();
  parentPort?.close();
});
