import { type Poison, type ReceivedEvent, unpackPayload } from "../core/packed.ts";
import type { RedisClient } from "../redis/client.ts";
import { CONSUMER, GROUP, type PartitionKeys } from "../redis/keys.ts";

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

type RawEntry = [id: string, fields: string[] | null];

/** Creates the stream and its group at 0, so that what was queued before is read. True when it was not there yet. */
export async function ensureGroup(client: RedisClient, partition: PartitionKeys): Promise<boolean> {
  try {
    await client.xgroup("CREATE", partition.stream, GROUP, "0", "MKSTREAM");
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("BUSYGROUP")) return false;
    throw error;
  }
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
  return entriesOf(reply);
}

/** Entries that were delivered and not acknowledged, by this owner or one before it, oldest first. */
export async function readPending(
  client: RedisClient,
  partition: PartitionKeys,
  count: number,
): Promise<ReceivedEntry[]> {
  const reply = await client.xreadgroup("GROUP", GROUP, CONSUMER, "COUNT", count, "STREAMS", partition.stream, "0");
  return entriesOf(reply);
}

function entriesOf(reply: unknown): ReceivedEntry[] {
  const [stream] = (reply ?? []) as [[name: string, entries: RawEntry[]]?];
  return (stream?.[1] ?? []).map(parseEntry);
}

function parseEntry([id, fields]: RawEntry): ReceivedEntry {
  const field = (name: string) => {
    const at = (fields ?? []).findIndex((text, i) => i % 2 === 0 && text === name);
    return at < 0 ? undefined : fields?.[at + 1];
  };
  const payload = field("e");
  // A pending entry that was deleted behind our back has no fields left.
  const events = payload === undefined ? null : unpackPayload(payload);
  return {
    id,
    arrival: Number.parseInt(id, 10),
    reply: field("reply") ?? "",
    ticket: field("ticket") ?? "",
    readmit: field("readmit") ?? null,
    events: events ?? [{ fault: "the entry holds no readable events", payload: payload ?? "" }],
  };
}
