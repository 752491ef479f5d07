// Embedded Postgres in a thread of its own: while it works, it blocks its event loop.
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

const db = await PGlite.create(workerData.database);
endWithSession(db);
// One connection: it is one session, and messages of two would mix.
const server = workerData.socket && new PGLiteSocketServer({ db, path: workerData.socket, maxConnections: 2 });
await server?.start();
parentPort?.once("message", async () => {
  await server?.stop();
  await db.close();
  parentPort?.close();
});
parentPort?.postMessage("ready");

/**
 * A real server ends a session after a FATAL, and itself after a PANIC. This one repeats the message for ever, and lets
 * everything wait behind a message that failed. So the thread ends, telling why, and the next one opens the same files.
 *
 * @param {PGlite} database
 */
function endWithSession(database) {
  const exec = database.execProtocolRawStream.bind(database);
  const end = (/** @type {string} */ reason) => {
    parentPort?.postMessage(reason);
    // Takes effect at once; an error would first be asked for when the endless loop ends.
    process.exit(1);
  };
  database.execProtocolRawStream = async (message, options) => {
    const onRawData = (/** @type {Uint8Array} */ data) => {
      const reason = readFatal(data);
      if (reason) end(reason);
      options.onRawData(data);
    };
    try {
      return await exec(message, { ...options, onRawData });
    } catch (error) {
      return end(String(error));
    }
  };
}

/** Text of an ErrorResponse whose severity (in the spelling that no locale changes) leaves no session. */
function readFatal(/** @type {Uint8Array} */ data) {
  if (data[0] !== 0x45) return null;
  const fields = Buffer.from(data).toString().split("\0");
  const isFatal = fields.some((field) => field === "VFATAL" || field === "VPANIC");
  return isFatal ? fields.find((field) => field.startsWith("M"))?.slice(1) : null;
}
