import { type FileHandle, open, rename, stat } from "node:fs/promises";
import { join } from "node:path";

const ROTATE_ABOVE_BYTES = 10 * 1024 * 1024;
const LAST_LINES = 12;
const READ_AT_MOST_BYTES = 16 * 1024;

/** The log of one run of the server: it begins where the file ended before. */
export interface RunLog {
  readonly path: string;
  readonly handle: FileHandle;
  /** The last lines of this run, for a message; empty if it wrote nothing. */
  tail(): Promise<string>;
}

/** Opens the server's log for appending; one that has grown large is set aside, and replaces the one set aside before. */
export async function openLog(redisDir: string, name: string): Promise<RunLog> {
  const path = join(redisDir, name);
  let start = await sizeOf(path);
  if (start > ROTATE_ABOVE_BYTES) {
    await rename(path, `${path}.1`);
    start = 0;
  }
  const handle = await open(path, "a", 0o600);
  return { path, handle, tail: () => lastLines(path, start) };
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.size,
    () => 0,
  );
}

async function lastLines(path: string, start: number): Promise<string> {
  const handle = await open(path, "r").catch(() => undefined);
  if (handle === undefined) return "";
  try {
    const from = Math.max(start, (await handle.stat()).size - READ_AT_MOST_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(READ_AT_MOST_BYTES), 0, READ_AT_MOST_BYTES, from);
    const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
    return lines
      .filter((line) => line.trim() !== "")
      .slice(-LAST_LINES)
      .join("\n");
  } finally {
    await handle.close();
  }
}
