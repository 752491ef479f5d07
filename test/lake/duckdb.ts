import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";

export type SqlRow = Readonly<Record<string, unknown>>;

/** The queries of docs/lake.md, as they stand there, on a lake that lies somewhere else. */
export class DocumentedQueries {
  readonly connection: DuckDBConnection;
  readonly #queries: readonly string[];

  private constructor(connection: DuckDBConnection, queries: readonly string[]) {
    this.connection = connection;
    this.#queries = queries;
  }

  /**
   * @param lake what stands for `lake/` in the page
   * @param before what DuckDB must be told first
   */
  static async open(lake: string, before: readonly string[] = []): Promise<DocumentedQueries> {
    const connection = await (await DuckDBInstance.create(":memory:")).connect();
    for (const sql of ["SET TimeZone = 'UTC'", ...before]) await connection.run(sql);
    const page = readFileSync(fileURLToPath(new URL("../../docs/lake.md", import.meta.url)), "utf8");
    const [view, ...queries] = [...page.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, sql]) => sql as string);
    await connection.run((view as string).replace("'lake/", `'${lake}/`));
    return new DocumentedQueries(connection, queries);
  }

  /** The page's query that begins with this comparison in its lead: `top` or `series`. */
  async run(name: "top" | "series"): Promise<SqlRow[]> {
    return this.rows(this.#queries[name === "top" ? 0 : 1] as string);
  }

  async rows(sql: string): Promise<SqlRow[]> {
    return (await this.connection.runAndReadAll(sql)).getRowObjectsJS();
  }

  close(): void {
    this.connection.closeSync();
  }
}
