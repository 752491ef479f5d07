import type { LakeRow } from "../../src/lake/rows.ts";
import { decodeSegment } from "../../src/lake/segment.ts";
import { type LakeStore, SEGMENT_SUFFIX } from "../../src/lake/store.ts";

/** Every row of every segment, whether or not the manifest knows it. */
export async function readLake(store: LakeStore): Promise<LakeRow[]> {
  const rows: LakeRow[] = [];
  for await (const { name } of store.list("")) {
    if (!name.endsWith(SEGMENT_SUFFIX)) continue;
    rows.push(...(await decodeSegment((await store.get(name)) as Uint8Array)));
  }
  return rows;
}
