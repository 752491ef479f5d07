import { describe } from "vitest";
import { findPostgres, startTestPostgres } from "./postgres.ts";

const bin = await findPostgres();

export interface TestDatabase {
  /** For `DATABASE_URL`; absent: the embedded one. */
  readonly url: string | undefined;
  stop(): Promise<void>;
}

/** The databases of cold storage: the embedded one, and a real server where Debian's packages are installed. */
const DATABASES = [
  { name: "PGlite", isThere: true, start: async () => ({ url: undefined, stop: async () => {} }) },
  { name: "Postgres", isThere: bin !== null, start: (): Promise<TestDatabase> => startTestPostgres(bin as string) },
];

/** Runs a suite on every database. */
export function describeOnDatabases(suite: (start: () => Promise<TestDatabase>, isEmbedded: boolean) => void): void {
  for (const { name, isThere, start } of DATABASES) {
    describe.skipIf(!isThere)(isThere ? name : `${name}: no server is installed`, () =>
      suite(start, name === "PGlite"),
    );
  }
}
