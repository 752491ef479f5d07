import pg from "pg";
import { type Aftermath, Finding } from "./invariant.ts";

/** Whether anything was moved to cold storage at all: without that, the other comparisons say nothing of it. */
export async function bucketsHaveMoved({ database, redis, partitions }: Aftermath): Promise<Finding[]> {
  const [exported, left] = [new Finding("rows in cold storage"), new Finding("marks of buckets that left Redis")];
  if (database === null) return [exported, left];
  const client = new pg.Client(database.url);
  await client.connect();
  const { rows } = await client.query<{ rows: string }>("SELECT count(*) AS rows FROM cells");
  await client.end();
  exported.compared = Number(rows[0]?.rows);
  if (exported.compared === 0) exported.differences.push("nothing was exported");
  for (const { cold } of partitions) {
    const marks = Object.entries(await redis.hgetall(cold)).filter(([field]) => /^\w+:\w+$/.test(field));
    left.compared += marks.filter(([, text]) => Number(text.split(" ")[1]) > 0).length;
  }
  if (left.compared === 0) left.differences.push("no bucket has left Redis");
  return [exported, left];
}
