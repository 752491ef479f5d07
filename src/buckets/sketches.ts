import { randomUUID } from "node:crypto";
import type { Counter } from "../core/counter.ts";
import type { Range } from "../core/window.ts";
import type { RedisClient } from "../redis/client.ts";
import type { CellOwner, PartitionKeys } from "../redis/keys.ts";
import { placeIn, type Row } from "./cells.ts";
import { type Part, readPart, readParts, windowKeys } from "./parts.ts";
import { type Command, pipelined } from "./pipeline.ts";

/** Sketches to unite: names of those in Redis, by part, and the bytes of those that come from elsewhere. */
interface Union {
  readonly names: readonly (readonly string[])[];
  readonly bytes: readonly Buffer[];
}

/** Sketches united in one step: about 3 ms of Redis when all are dense. */
const UNITED_AT_ONCE = 128;
/** Unions worked on in one go, which bounds what lies in scratch keys. */
const UNIONS_AT_ONCE = 256;
/** A scratch key is unlinked in the same breath; this is the net below, seconds. */
const SCRATCH_SECONDS = 60;

/** Estimates of distinct members: HyperLogLogs united and counted by Redis itself. */
export class Sketches {
  readonly #client: RedisClient;
  readonly #home: PartitionKeys;
  /** On a cluster, partitions live in different slots, which PFCOUNT cannot unite. */
  readonly #acrossSlots: boolean;

  constructor(client: RedisClient, partitions: readonly PartitionKeys[], isCluster: boolean) {
    this.#client = client;
    this.#home = partitions[0] as PartitionKeys;
    this.#acrossSlots = isCluster && partitions.length > 1;
  }

  /** Distinct members over all parts and the given sketches together. */
  async countUnion(
    counter: Counter,
    owner: CellOwner,
    parts: readonly Part[],
    bytes: readonly Buffer[],
  ): Promise<number> {
    const names = parts.map((part) => part.ranges.flatMap((range) => sketchNames(part, counter, owner, range)));
    const [count] = await this.#countEach(counter, parts, [{ names, bytes }]);
    return count ?? 0;
  }

  /** Distinct members of every bucket of a row, which the parts make up; `bytesAt` gives further sketches of a bucket. */
  async countSeries(
    counter: Counter,
    owner: CellOwner,
    parts: readonly Part[],
    row: Row,
    bytesAt: (start: number) => readonly Buffer[],
  ): Promise<number[]> {
    const counts: number[] = [];
    for (let first = 0; first < row.length; first += UNIONS_AT_ONCE) {
      const [from, length] = [row.from + first * row.ms, Math.min(UNIONS_AT_ONCE, row.length - first)];
      const byPart = parts.map((part) => namesByPlace(part, counter, owner, { ...row, from, length }));
      const unions = Array.from({ length }, (_, i): Union => {
        return { names: byPart.map((places) => places[i] as string[]), bytes: bytesAt(from + i * row.ms) };
      });
      counts.push(...(await this.#countEach(counter, parts, unions)));
    }
    return counts;
  }

  async #countEach(counter: Counter, parts: readonly Part[], unions: readonly Union[]): Promise<number[]> {
    const isWanted = ({ names, bytes }: Union) => bytes.length > 0 || names.some((some) => some.length > 0);
    const wanted = unions.filter(isWanted);
    if (wanted.length === 0) return unions.map(() => 0);
    const id = randomUUID();
    const foreign = await this.#load(
      id,
      wanted.map(({ bytes }) => bytes),
    );
    const counts = this.#acrossSlots
      ? await this.#countAcrossSlots(id, counter, parts, wanted, foreign)
      : await this.#countTogether(counter, parts, wanted, foreign);
    return unions.map((union) => (isWanted(union) ? (counts.shift() as number) : 0));
  }

  /** Writes each list of sketches, united, into a scratch key; gives the keys, none where the list is empty. */
  async #load(id: string, lists: readonly (readonly Buffer[])[]): Promise<string[][]> {
    const keys: string[][] = [];
    for (const [i, sketches] of lists.entries()) {
      const target = this.#home.scratch(`${id}.c${i}`);
      for (let from = 0; from < sketches.length; from += UNITED_AT_ONCE) {
        const slice = sketches.slice(from, from + UNITED_AT_ONCE);
        const names = slice.map((_, n) => this.#home.scratch(`${id}.s${n}`));
        await pipelined(this.#client, [
          ...slice.map((bytes, n): Command => ["set", names[n] as string, bytes, "EX", SCRATCH_SECONDS]),
          ["pfmerge", target, ...names],
          ["expire", target, SCRATCH_SECONDS],
          ["unlink", ...names],
        ]);
      }
      keys.push(sketches.length > 0 ? [target] : []);
    }
    return keys;
  }

  async #countTogether(
    counter: Counter,
    parts: readonly Part[],
    unions: readonly Union[],
    foreign: readonly string[][],
  ): Promise<number[]> {
    const commands = unions.map(({ names }, i): Command => ["pfcount", ...names.flat(), ...(foreign[i] ?? [])]);
    const counts = (await readParts(this.#client, counter, parts, commands)) as number[];
    await this.#drop(foreign.flat());
    return counts;
  }

  async #drop(scratch: readonly string[]): Promise<void> {
    if (scratch.length > 0) await pipelined(this.#client, [["unlink", ...scratch]]);
  }

  /** Unites within each slot into a short-lived key, then brings the bytes together in one slot. */
  async #countAcrossSlots(
    id: string,
    counter: Counter,
    parts: readonly Part[],
    unions: readonly Union[],
    foreign: readonly string[][],
  ): Promise<number[]> {
    const merged = await Promise.all(parts.map((part, p) => this.#mergeInSlot(id, counter, part, p, unions)));
    const keys = merged.map((_, p) => this.#home.scratch(`${id}.p${p}`));
    const commands: Command[] = [];
    // Where the reply of each union's count will be; -1 where there is nothing to count.
    const at = unions.map((_, i) => {
      const found = merged.flatMap((bytes, p) => (bytes[i] ? [[keys[p] as string, bytes[i]] as const] : []));
      const names = [...found.map(([key]) => key), ...(foreign[i] ?? [])];
      if (names.length === 0) return -1;
      for (const [key, bytes] of found) commands.push(["set", key, bytes, "EX", SCRATCH_SECONDS]);
      return commands.push(["pfcount", ...names]) - 1;
    });
    const replies = await pipelined(this.#client, commands);
    await this.#drop([...keys, ...foreign.flat()]);
    return at.map((position) => (position < 0 ? 0 : Number(replies[position])));
  }

  /** For each union, the part's sketches united, as bytes; `null` where it is known to have none. */
  async #mergeInSlot(
    id: string,
    counter: Counter,
    part: Part,
    p: number,
    unions: readonly Union[],
  ): Promise<readonly (Buffer | null)[]> {
    const scratch = part.partition.scratch(`${id}.${part.layer}`);
    const commands: Command[] = [];
    const at = unions.map(({ names }) => {
      const [name, ...more] = names[p] ?? [];
      if (name === undefined) return -1;
      // One sketch, as in every bucket of a series, needs no uniting.
      if (more.length === 0) return commands.push(["getBuffer", name]) - 1;
      commands.push(["pfmerge", scratch, name, ...more]);
      const position = commands.push(["getBuffer", scratch]) - 1;
      commands.push(["unlink", scratch]);
      return position;
    });
    const replies = await readPart(this.#client, counter, part, commands);
    return at.map((position) => (position < 0 ? null : (replies[position] as Buffer | null)));
  }
}

function sketchNames(part: Part, counter: Counter, owner: CellOwner, range: Range): string[] {
  const keys = windowKeys(part, counter, range);
  const names: string[] = [];
  for (let start = range.from; start < range.to; start += range.window.ms) names.push(keys.sketch(start, owner));
  return names;
}

/** Names of the sketches of a part's buckets, for each bucket of a row around them. */
function namesByPlace(part: Part, counter: Counter, owner: CellOwner, row: Row): string[][] {
  const names = Array.from({ length: row.length }, (): string[] => []);
  for (const range of part.ranges) {
    const keys = windowKeys(part, counter, range);
    const end = Math.min(range.to, row.from + row.length * row.ms);
    for (let start = Math.max(range.from, row.from); start < end; start += range.window.ms) {
      names[placeIn(row, start)]?.push(keys.sketch(start, owner));
    }
  }
  return names;
}
