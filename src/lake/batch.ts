import { ulid } from "ulid";
import type { ReceivedEntry } from "../stream/entries.ts";
import { hourOf, type ManifestLine, putSegment } from "./manifest.ts";
import { type LakeRow, rowsOf } from "./rows.ts";
import { type LakeStore, SEGMENT_SUFFIX } from "./store.ts";

/** A batch is written when it has so many rows, or so many characters of them. */
const ROWS_MAX = 50_000;
const CHARACTERS_MAX = 16 * 1024 * 1024;

/** Entries of one partition that are written together: a segment for each hour of event time. */
export class LakeBatch {
  readonly #partition: number;
  readonly #ids: string[] = [];
  /** By hour; what is published leaves, so that a failure in between repeats nothing. */
  readonly #hours = new Map<string, LakeRow[]>();
  #rows = 0;
  #characters = 0;
  #since = 0;

  constructor(partition: number) {
    this.#partition = partition;
  }

  /** Of all entries in it. */
  get ids(): readonly string[] {
    return this.#ids;
  }

  get isEmpty(): boolean {
    return this.#ids.length === 0;
  }

  /** @param now any clock's time, ms, the same as of `isDue` */
  add(entries: readonly ReceivedEntry[], now: number): void {
    if (this.isEmpty) this.#since = now;
    for (const entry of entries) {
      this.#ids.push(entry.id);
      for (const row of rowsOf(this.#partition, entry)) this.#addRow(row);
    }
  }

  #addRow(row: LakeRow): void {
    const hour = hourOf(row.time);
    const rows = this.#hours.get(hour);
    if (rows) rows.push(row);
    else this.#hours.set(hour, [row]);
    this.#rows++;
    this.#characters += row.id.length + (row.subject?.length ?? 0) + (row.data?.length ?? 0);
  }

  /** Whether it is full, or its first entry has waited for so long, ms. */
  isDue(now: number, waitMs: number): boolean {
    if (this.isEmpty) return false;
    return this.#rows >= ROWS_MAX || this.#characters >= CHARACTERS_MAX || now - this.#since >= waitMs;
  }

  /** Publishes what is not published yet; tried again after a failure, it goes on. */
  async publish(store: LakeStore, onSegment: (line: ManifestLine) => void): Promise<void> {
    for (const [hour, rows] of this.#hours) {
      onSegment(await putSegment(store, `${hour}${ulid()}${SEGMENT_SUFFIX}`, rows));
      this.#hours.delete(hour);
    }
  }
}
