import type { ReceivedEntry } from "../stream/entries.ts";

/** One event as the lake holds it. Where it stands on the streams names the row: repeats of a row are the same there. */
export interface LakeRow {
  readonly partition: number;
  /** Epoch ms, and a number among those of one millisecond: together the id of the stream entry. */
  readonly arrived: number;
  readonly sequence: number;
  /** Position in the entry, from 0. */
  readonly index: number;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** Epoch ms; the arrival where the event has no time of its own. */
  readonly time: number;
  readonly subject: string | null;
  /** Text of a JSON object. */
  readonly data: string | null;
}

/**
 * The events of an entry. One that was late and counts after all has come before, and what cannot be read as an event is
 * no event.
 */
export function rowsOf(partition: number, { id: entry, arrival, readmit, events }: ReceivedEntry): LakeRow[] {
  if (readmit !== null) return [];
  const sequence = Number(entry.slice(entry.indexOf("-") + 1));
  return events.flatMap((item, index) => {
    if ("fault" in item) return [];
    const { id, source, type, time, subject, data } = item;
    const text = data === null ? null : JSON.stringify(data);
    return {
      partition,
      arrived: arrival,
      sequence,
      index,
      id,
      source,
      type,
      time: time ?? arrival,
      subject,
      data: text,
    };
  });
}

/** Order of the streams, partition by partition. */
export function compareRows(a: LakeRow, b: LakeRow): number {
  return a.partition - b.partition || a.arrived - b.arrived || a.sequence - b.sequence || a.index - b.index;
}

/** Rows in order → the same without repeats. */
export function withoutRepeats(rows: readonly LakeRow[]): LakeRow[] {
  return rows.filter((row, i) => i === 0 || compareRows(rows[i - 1] as LakeRow, row) !== 0);
}
