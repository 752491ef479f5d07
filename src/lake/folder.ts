import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LakeStore, StoredFile } from "./store.ts";

/** Of files that have no name yet; on the same file system, and hidden from whoever lists the lake. */
const DRAFTS = "_drafts";
/** A draft so old belongs to nobody any more, ms. */
const DRAFT_MAX_MS = 3_600_000;

/** A lake in a local folder. A file is on the disk before it has its name, and its name before `put` answers. */
export class FolderStore implements LakeStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.publish(await this.draft(bytes), name);
  }

  /** Writes a file under a temporary name, which is answered. */
  protected async draft(bytes: Uint8Array): Promise<string> {
    const path = join(this.#root, DRAFTS, randomUUID());
    await mkdir(dirname(path), { recursive: true });
    try {
      await using file = await open(path, "wx");
      await file.writeFile(bytes);
      await file.sync();
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    return path;
  }

  protected async publish(draft: string, name: string): Promise<void> {
    const path = join(this.#root, name);
    const made = await mkdir(dirname(path), { recursive: true });
    await rename(draft, path);
    // Directories, too, are on the disk only once they are synced.
    for (let directory = dirname(path); ; directory = dirname(directory)) {
      await syncDirectory(directory);
      if (made === undefined || directory.length < made.length || directory === this.#root) return;
    }
  }

  async get(name: string): Promise<Uint8Array | null> {
    return readFile(join(this.#root, name)).catch(nullIfMissing);
  }

  async *list(prefix: string): AsyncGenerator<StoredFile> {
    const entries = await readdir(join(this.#root, prefix), { withFileTypes: true }).catch(nullIfMissing);
    for (const entry of (entries ?? []).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = `${prefix}${entry.name}`;
      if (entry.isDirectory()) yield* this.list(`${name}/`);
      else {
        const found = await stat(join(this.#root, name)).catch(nullIfMissing);
        if (found) yield { name, bytes: found.size };
      }
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#root, name), { force: true });
  }

  async sweep(): Promise<void> {
    for (const name of (await readdir(join(this.#root, DRAFTS)).catch(nullIfMissing)) ?? []) {
      const path = join(this.#root, DRAFTS, name);
      const found = await stat(path).catch(nullIfMissing);
      if (found && Date.now() - found.mtimeMs > DRAFT_MAX_MS) await rm(path, { force: true });
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}
