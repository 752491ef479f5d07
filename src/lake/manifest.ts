import { createHash } from "node:crypto";
import { formatTime } from "../core/time.ts";
import type { LakeRow } from "./rows.ts";
import { encodeSegment } from "./segment.ts";
import { type LakeStore, MANIFEST, SEGMENT_SUFFIX } from "./store.ts";

/** What the manifest says of one segment, in a file of its own: `_manifest/` and the segment's name, with `.json`. */
export interface ManifestLine {
  /** Name of the segment in the lake. */
  readonly segment: string;
  readonly rows: number;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
  /** Event time of the first and the last event, RFC 3339. */
  readonly from: string;
  readonly to: string;
  /** Arrival of the first and the last event, RFC 3339. */
  readonly arrivedFrom: string;
  readonly arrivedTo: string;
}

/** Directory of an hour of event time, in UTC: `date=2015-09-12/hour=13/`. */
export function hourOf(time: number): string {
  const text = formatTime(time);
  return `date=${text.slice(0, 10)}/hour=${text.slice(11, 13)}/`;
}

/** Start of the hour, epoch ms, of a segment's name; `null` for the name of anything else. */
export function parseHour(name: string): number | null {
  const match = /^date=(\d{4}-\d{2}-\d{2})\/hour=(\d{2})\/[0-9A-HJKMNP-TV-Z]{26}\.parquet$/.exec(name);
  return match ? Date.parse(`${match[1]}T${match[2]}:00:00Z`) : null;
}

export function manifestNameOf(segment: string): string {
  return `${MANIFEST}${segment.slice(0, -SEGMENT_SUFFIX.length)}.json`;
}

/**
 * Writes rows as a segment, then its line of the manifest. Between the two a segment is there that nobody vouches for: its
 * rows come again, since they are not acknowledged yet.
 */
export async function putSegment(store: LakeStore, segment: string, rows: readonly LakeRow[]): Promise<ManifestLine> {
  const bytes = await encodeSegment(rows);
  await store.put(segment, bytes);
  const line = describeSegment(segment, bytes, rows);
  await store.put(manifestNameOf(segment), Buffer.from(`${JSON.stringify(line)}\n`));
  return line;
}

function describeSegment(segment: string, bytes: Uint8Array, rows: readonly LakeRow[]): ManifestLine {
  const [from, to] = spanOf(rows.map(({ time }) => time));
  const [arrivedFrom, arrivedTo] = spanOf(rows.map(({ arrived }) => arrived));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { segment, rows: rows.length, bytes: bytes.length, sha256, from, to, arrivedFrom, arrivedTo };
}

function spanOf(times: readonly number[]): [string, string] {
  const first = times.reduce((a, b) => Math.min(a, b));
  const last = times.reduce((a, b) => Math.max(a, b));
  return [formatTime(first), formatTime(last)];
}

/** A segment is not what the manifest says of it. */
export class SegmentDamaged extends Error {
  override readonly name = "SegmentDamaged";
}

/** The bytes of a segment; throws SegmentDamaged when they are others than those that were written. */
export function checkedSegment(bytes: Uint8Array, { segment, sha256 }: ManifestLine): Uint8Array {
  if (createHash("sha256").update(bytes).digest("hex") === sha256) return bytes;
  throw new SegmentDamaged(`${segment} is not what its manifest says`);
}

/** Line of a segment; `null` where there is none. */
export async function readLine(store: LakeStore, segment: string): Promise<ManifestLine | null> {
  const bytes = await store.get(manifestNameOf(segment));
  return bytes && (JSON.parse(Buffer.from(bytes).toString()) as ManifestLine);
}
