import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What the published package holds; the rest of the tree is not needed to run it. */
const PARTS = ["dist", "lua", "migrations", "package.json"];

/** A text of the built product that is replaced by another. */
export interface Mutation {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** A copy of the built product: a build that happens meanwhile cannot change it, and a mutation harms nobody else. */
export interface Product {
  readonly main: string;
  remove(): Promise<void>;
}

export async function copyProduct(mutations: readonly Mutation[]): Promise<Product> {
  const directory = await mkdtemp(join(tmpdir(), "tallymark-torture-product-"));
  for (const part of PARTS) await cp(join(ROOT, part), join(directory, part), { recursive: true });
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
  for (const mutation of mutations) await mutate(directory, mutation);
  return {
    main: join(directory, "dist/main.js"),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function mutate(directory: string, { file, from, to }: Mutation): Promise<void> {
  const path = join(directory, file);
  const text = await readFile(path, "utf8");
  if (!text.includes(from)) throw new Error(`${file} has no "${from}", so the mutant cannot be made`);
  await writeFile(
    path,
    text.replace(from, () => to),
  );
}
