import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import type { Writable } from "node:stream";
import { CommandFailure } from "../replay/io.ts";

/** Where an export goes. Whoever writes waits until it is written, so nothing piles up. */
export interface Output {
  write(chunk: string | Uint8Array): Promise<void>;
  /** Everything is written. */
  finish(): Promise<void>;
  /** It will never be complete. */
  abandon(): Promise<void>;
}

/** A file that gets its name once it is complete and on the disk; until then it has another. */
export async function openFile(name: string): Promise<Output> {
  const target = await targetOf(name);
  // With the process's number, so that two exports to one name do not write into each other.
  const draft = `${target}.${process.pid}.part`;
  const attempt = async <T>(step: () => Promise<T>): Promise<T> => {
    try {
      return await step();
    } catch (error) {
      throw new CommandFailure(`--output: ${(error as Error).message}`);
    }
  };
  const file: FileHandle = await attempt(() => open(draft, "w"));
  return {
    write: (chunk) => attempt(() => file.appendFile(chunk)),
    finish: () =>
      attempt(async () => {
        await file.sync();
        await file.close();
        await rename(draft, target);
      }),
    abandon: async () => {
      await file.close().catch(() => {});
      await rm(draft, { force: true });
    },
  };
}

/** Behind links, so that they stay. What is no file, like /dev/null, must not be replaced by one. */
async function targetOf(name: string): Promise<string> {
  const found = await stat(name).catch(() => null);
  if (!found) return name;
  if (!found.isFile()) throw new CommandFailure(`--output: ${name} is there and is no regular file`);
  return realpath(name);
}

/** Standard output, which others close. */
export function openStream(stream: Writable): Output {
  // A failed write says so to its own caller; the event, without a listener, would end the process.
  const ignore = () => {};
  stream.on("error", ignore);
  const close = async () => void stream.off("error", ignore);
  return {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        stream.write(chunk, (error) => {
          if (error) reject(new CommandFailure(`standard output: ${error.message}`));
          else resolve();
        });
      }),
    finish: close,
    // The event may follow the failed write, so the listener stays.
    abandon: async () => {},
  };
}
