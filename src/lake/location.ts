import { resolve } from "node:path";
import { FolderStore } from "./folder.ts";
import type { LakeLocation, LakeStore } from "./store.ts";

/** A folder's path or `s3://bucket/prefix` → location; throws what is wrong with it. */
export function parseLocation(text: string): LakeLocation {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return { kind: "folder", path: resolve(text) };
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{2,62})(?:\/(.*))?$/.exec(text);
  if (!match) throw new Error("must be a folder or s3://bucket/prefix");
  const prefix = (match[2] ?? "").replace(/\/+$/, "");
  return { kind: "bucket", bucket: match[1] as string, prefix: prefix && `${prefix}/` };
}

/** The SDK of buckets is large, and loaded only where there is one. */
export async function openLake(location: LakeLocation): Promise<LakeStore> {
  if (location.kind === "folder") return new FolderStore(location.path);
  const { BucketStore } = await import("./bucket.ts");
  return new BucketStore(location.bucket, location.prefix);
}
