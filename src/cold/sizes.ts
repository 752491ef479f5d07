import type { Database } from "./database.ts";

/** Size on disk with indexes, of the tables that hold cells (all partitions of it together) and archived entries. */
export async function sizesOfTables(database: Database): Promise<{ table: string; bytes: number }[]> {
  const rows = await database.query<{ table: string; bytes: string }>(
    `SELECT root AS table, (SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree(root::regclass)) AS bytes
     FROM unnest(ARRAY['cells', 'ledger_entries']) AS root`,
  );
  return rows.map(({ table, bytes }) => ({ table, bytes: Number(bytes) }));
}
