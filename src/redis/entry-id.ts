/** Orders ids of stream entries, "ms-seq". (https://redis.io/docs/latest/develop/data-types/streams/#entry-ids) */
export function compareEntryIds(a: string, b: string): number {
  const [first, second] = [parseEntryId(a), parseEntryId(b)];
  return first.ms - second.ms || first.seq - second.seq;
}

export function parseEntryId(id: string): { readonly ms: number; readonly seq: number } {
  const [ms, seq] = id.split("-").map(Number) as [number, number];
  return { ms, seq };
}
