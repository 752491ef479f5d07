import { type Poison, type ReceivedEvent, unpackPayload } from "../core/packed.ts";
import type { RedisClient } from "../redis/client.ts";
import type { Suspect } from "../redis/commands/take-over.ts";
import { CONSUMER, GROUP, type PartitionKeys } from "../redis/keys.ts";
import { giveUp } from "./suspect.ts";

export interface ReceivedEntry {
  readonly id: string;
  /** Milliseconds, from the id: the time when Redis took the entry. */
  readonly arrival: number;
  readonly reply: string;
  readonly ticket: string;
  /** Generation of the counter that these events were late for and are counted by now; `null` for any other entry. */
  readonly readmit: string | null;
  readonly events: readonly (ReceivedEvent | Poison)[];
}

/** Entries that one script call applies. */
export type EntryBatch = readonly ReceivedEntry[];

/** Entries of one read: few at first, then as many as brought about the wanted number of events. */
const READ_MIN = 16;
const READ_MAX = 2_000;

/** How many entries to read next, when one read is to bring about so many events. */
export class ReadCount {
  readonly #wantedEvents: number;
  #entries = READ_MIN;
  #isBehind = false;

  constructor(wantedEvents: number) {
    this.#wantedEvents = wantedEvents;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Whether the last read brought all that it asked for, so that more is waiting. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Learns from a read of so many entries how large they are just now. */
  learn(read: readonly ReceivedEntry[]): void {
    this.#isBehind = read.length === this.#entries;
    const events = read.reduce((sum, entry) => sum + entry.events.length, 0);
    if (events === 0) return;
    const wanted = Math.ceil((this.#wantedEvents * read.length) / events);
    this.#entries = Math.min(READ_MAX, Math.max(READ_MIN, wanted));
  }
}

type RawEntry = [id: string, fields: string[] | null];

/** Creates the stream and its group at 0, so that what was queued before is read. True when it was not there yet. */
export async function ensureGroup(client: RedisClient, partition: PartitionKeys): Promise<boolean> {
  try {
    await client.xgroup("CREATE", partition.stream, GROUP, "0", "MKSTREAM");
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error.message.startsWith("BUSYGROUP")) return false;
    // A full Redis refuses before it looks whether the group is there, and what waits must be applied all the same.
    if (error.message.startsWith("OOM") && (await hasGroup(client, partition))) return false;
    throw error;
  }
}

async function hasGroup(client: RedisClient, partition: PartitionKeys): Promise<boolean> {
  if ((await client.exists(partition.stream)) === 0) return false;
  const groups = (await client.xinfo("GROUPS", partition.stream)) as unknown[][];
  return groups.some((group) => group.includes(GROUP));
}

/** Entries never delivered before; waits up to `blockMs` for the first. */
export async function readNew(
  client: RedisClient,
  partition: PartitionKeys,
  count: number,
  blockMs: number,
): Promise<ReceivedEntry[]> {
  const reply = await client.xreadgroup(
    "GROUP",
    GROUP,
    CONSUMER,
    "COUNT",
    count,
    "BLOCK",
    blockMs,
    "STREAMS",
    partition.stream,
    ">",
  );
  return entriesOf(reply, null);
}

/**
 * Entries that were delivered and not acknowledged, by this owner or one before it, oldest first. A suspect that is
 * given up comes without its events ever having been decoded.
 */
export async function readPending(
  client: RedisClient,
  partition: PartitionKeys,
  count: number,
  suspect: Suspect | null = null,
): Promise<ReceivedEntry[]> {
  const reply = await client.xreadgroup("GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", partition.stream, "0");
  return entriesOf(reply, suspect);
}

/** What another group has: pending entries behind the id `after`, or with `>` those never delivered to it, without waiting. */
export async function readAlong(
  client: RedisClient,
  partition: PartitionKeys,
  group: string,
  after: string,
  count: number,
): Promise<ReceivedEntry[]> {
  const reply = await client.xreadgroup("GROUP", group, CONSUMER, "COUNT", count, "STREAMS", partition.stream, after);
  return entriesOf(reply, null);
}

function entriesOf(reply: unknown, suspect: Suspect | null): ReceivedEntry[] {
  const [stream] = (reply ?? []) as [[name: string, entries: RawEntry[]]?];
  return (stream?.[1] ?? []).map((entry) => parseEntry(entry, suspect));
}

function parseEntry([id, fields]: RawEntry, suspect: Suspect | null): ReceivedEntry {
  const field = (name: string) => {
    const at = (fields ?? []).findIndex((text, i) => i % 2 === 0 && text === name);
    return at < 0 ? undefined : fields?.[at + 1];
  };
  const payload = field("e");
  // A pending entry that was deleted behind our back has no fields left.
  const events = payload === undefined ? null : (giveUp(suspect, id, payload) ?? unpackPayload(payload));
  return {
    id,
    arrival: Number.parseInt(id, 10),
    reply: field("reply") ?? "",
    ticket: field("ticket") ?? "",
    readmit: field("readmit") ?? null,
    events: events ?? [{ fault: "the entry holds no readable events", payload: payload ?? "" }],
  };
}
