import pg from "pg";
import type { Workload } from "./workload.ts";

/** Events of one statement, as many as a batch of ours. */
const AT_ONCE = 2_000;

/** Unlogged: nothing of it survives a crash, which flatters the baseline. */
const TABLES = `
CREATE UNLOGGED TABLE seen (id text PRIMARY KEY);
CREATE UNLOGGED TABLE cells (ms bigint, bucket bigint, key text, count bigint, PRIMARY KEY (ms, bucket, key));
`;

/** Ids that are new, and the counts of their events in three windows; no unique visitors, no total, no ranking. */
const APPLY = `
WITH sent AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS t (id, key, time)),
  fresh AS (INSERT INTO seen SELECT DISTINCT id FROM sent ON CONFLICT DO NOTHING RETURNING id),
  counted AS (SELECT DISTINCT ON (id) id, key, time FROM sent JOIN fresh USING (id))
INSERT INTO cells
  SELECT ms, time - time % ms, key, count(*)
  FROM counted, (VALUES (60000::bigint), (3600000), (86400000)) AS windows (ms)
  GROUP BY 1, 2, 3
  ON CONFLICT (ms, bucket, key) DO UPDATE SET count = cells.count + excluded.count
`;

export interface Upserts {
  /** Applies the first events of a workload; answers how many. Throws when the counts are wrong. */
  apply(workload: Workload, events: number): Promise<number>;
  /** The server's process that does the work. */
  readonly pid: number;
  close(): Promise<void>;
}

/** What those do who have Postgres at hand: a table of ids, and counts raised a batch at a time. */
export async function openUpserts(url: string): Promise<Upserts> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(TABLES);
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return {
    pid: rows[0]?.pid as number,
    apply: (workload, events) => apply(client, workload, Math.min(events, workload.events)),
    close: () => client.end(),
  };
}

async function apply(client: pg.Client, workload: Workload, events: number): Promise<number> {
  const ids = new Set<string>();
  for (let from = 0; from < events; from += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, events - from) }, (_, i) => from + i);
    for (const event of batch) ids.add(workload.id(event));
    const values = [batch.map(workload.id), batch.map(workload.subject), batch.map(workload.time)];
    await client.query({ name: "apply", text: APPLY, values });
  }
  const { rows } = await client.query<{ count: string }>("SELECT sum(count) AS count FROM cells WHERE ms = 60000");
  if (Number(rows[0]?.count) !== ids.size) throw new Error(`upserts counted ${rows[0]?.count} of ${ids.size} events`);
  return events;
}
