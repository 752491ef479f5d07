import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LedgerArchive } from "../../src/cold/archive.ts";
import { Database } from "../../src/cold/database.ts";
import { unpackPayload } from "../../src/core/packed.ts";
import { Ledger } from "../../src/ledgers/ledger.ts";
import type { PartitionKeys } from "../../src/redis/keys.ts";
import { readNew } from "../../src/stream/entries.ts";
import type { PartitionOwner } from "../../src/stream/owner.ts";
import type { TestDatabase } from "../support/databases.ts";
import { Harness, type HarnessOptions, makeEvent } from "../support/harness.ts";
import type { TestRedis } from "../support/redis.ts";
import type { Interruption } from "./interruption.ts";
import type { Mortal } from "./mortal.ts";

const T = Date.parse("2015-09-12T00:00:00Z");
const HOUR = 3_600_000;
const COUNTER = { name: "strict", event: "*", by: ["subject"], windows: ["1m"], lateness: "1m" };

/** So few that a run at every step takes seconds, and so many that taking them takes several transactions. */
export const FULL = 260;
export const HOT = 40;

/** One partition for which events are late, and whose ledger is archived step by step. */
export class LedgerStage {
  readonly harness: Harness;
  readonly partition: PartitionKeys;
  readonly cold: Database;
  readonly #close: () => Promise<void>;
  readonly #owner: PartitionOwner;
  /** Late events so far. */
  sent = 0;

  private constructor(harness: Harness, cold: Database, owner: PartitionOwner, close: () => Promise<void>) {
    this.harness = harness;
    this.partition = harness.partitions[0] as PartitionKeys;
    this.cold = cold;
    this.#owner = owner;
    this.#close = close;
  }

  static async open(
    redis: TestRedis,
    startDatabase: () => Promise<TestDatabase>,
    mutate?: HarnessOptions["mutate"],
  ): Promise<LedgerStage> {
    const server = await startDatabase();
    const dataDir = await mkdtemp(join(tmpdir(), "tallymark-cold-"));
    const cold = new Database({ url: server.url ?? null, dataDir });
    const harness = await Harness.create(redis, { counters: [COUNTER], ...(mutate && { mutate }) });
    const [partition] = harness.partitions as [PartitionKeys];
    const owner = await harness.own(partition);
    await harness.client.persist(partition.lease);
    const stage = new LedgerStage(harness, cold, owner, async () => {
      harness.close();
      await cold.close();
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    });
    await harness.send([makeEvent({ id: "ahead", time: T + HOUR })]);
    await stage.apply();
    return stage;
  }

  close(): Promise<void> {
    return this.#close();
  }

  /** Lets events be late until the ledger in Redis has so many entries. */
  async fill(entries: number): Promise<void> {
    const missing = entries - (await this.hot());
    const events = Array.from({ length: Math.max(0, missing) }, () => makeEvent({ id: `late${this.sent++}`, time: T }));
    if (events.length > 0) await this.harness.send(events);
    await this.apply();
  }

  async apply(): Promise<void> {
    while ((await this.harness.client.xlen(this.partition.stream)) > 0) {
      await this.#owner.apply(await readNew(this.harness.client, this.partition, 100, 1));
    }
  }

  /** Entries in Redis. */
  hot(): Promise<number> {
    return this.harness.client.xlen(this.partition.late);
  }

  /** Of a process that lives, or of one that dies or that something happens to. */
  archive(fate: Mortal | Interruption | null = null): LedgerArchive {
    const { client, scripts } = this.harness;
    return new LedgerArchive({
      client: fate ? fate.client(client) : client,
      scripts,
      database: fate ? fate.database(this.cold) : this.cold,
    });
  }

  take(fate: Mortal | Interruption | null = null): Promise<number> {
    return this.archive(fate).take(this.partition, "late", { above: FULL, keep: HOT });
  }

  ledger(fate: Mortal | Interruption | null = null): Ledger {
    const { client, scripts, partitions } = this.harness;
    const archive = this.archive(fate);
    return new Ledger({ client: fate ? fate.client(client) : client, scripts, partitions, archive }, "late");
  }

  /** Refs and ids of all late events, page by page; `between` happens after each page. */
  async list(
    between: () => Promise<void> = async () => {},
    ledger: Ledger = this.ledger(),
  ): Promise<{ ref: string; id: string }[]> {
    const found: { ref: string; id: string }[] = [];
    let cursor: string | undefined;
    do {
      const page = await ledger.list(cursor, this.harness.counter("strict").generation);
      for (const { ref, fields } of page.entries) {
        const [item] = unpackPayload(fields.payload as string) ?? [];
        found.push({ ref, id: item && !("fault" in item) ? item.id : "unreadable" });
      }
      cursor = page.cursor ?? undefined;
      await between();
    } while (cursor !== undefined);
    return found;
  }

  /** Late events that were counted after all. */
  async counted(): Promise<number> {
    await this.apply();
    const counter = this.harness.counter("strict");
    const subject = { owner: "total" as const, shown: { key: null } };
    const { count } = await this.harness.lookups.value({ counter, subject, span: { from: T, to: T + 60_000 } });
    return Number(count);
  }

  /** As if ten minutes had passed since numbers were given. */
  async age(): Promise<void> {
    await this.cold.transaction((query) =>
      query("UPDATE ledger_entries SET numbered_at = numbered_at - interval '11 minutes'"),
    );
  }

  async rows(): Promise<number> {
    const [row] = await this.cold.query<{ n: number }>("SELECT count(*)::int AS n FROM ledger_entries");
    return row?.n ?? Number.NaN;
  }
}
