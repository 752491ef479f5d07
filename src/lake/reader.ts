import { hash } from "node:crypto";
import { checkedSegment, type ManifestLine, parseHour, readLine } from "./manifest.ts";
import { compareRows, type LakeRow } from "./rows.ts";
import { decodeSegment } from "./segment.ts";
import { type LakeStore, MANIFEST } from "./store.ts";

const HOUR_MS = 3_600_000;

/** Event time, epoch ms, half-open. */
export interface LakeSpan {
  readonly from: number;
  readonly to: number;
}

/** A segment went while the lake was read: it was merged, and its rows are in one that was not looked for. */
export class LakeChanged extends Error {
  override readonly name = "LakeChanged";

  constructor(segment: string) {
    super(`${segment} is gone: it was merged or dropped while the lake was read, or it is lost; try again`);
  }
}

export interface LakeReading {
  readonly store: LakeStore;
  readonly span: LakeSpan;
  /** Rows that are left out count as not there. */
  readonly includes: (row: LakeRow) => boolean;
  /** Called after each segment; all are read twice. */
  readonly onSegment: (read: number, all: number) => void;
}

/**
 * Every event of the span once, as the first of its copies that are included: the order of events is that of the hours.
 * Reads all segments that the manifest names, twice: who has copies, then everything else as it comes and those in the end.
 */
export async function* readDistinct(reading: LakeReading): AsyncGenerator<readonly LakeRow[]> {
  const segments = await segmentsOf(reading);
  let read = 0;
  const onSegment = () => reading.onSegment(++read, 2 * segments.length);
  const hashes = new HashList();
  for (const segment of segments) {
    for (const row of await readIncluded(reading, segment)) hashes.add(hashOf(row));
    onSegment();
  }
  const repeated = hashes.repeated();
  const first = new Map<string, LakeRow>();
  for (const segment of segments) {
    const rows = await readIncluded(reading, segment);
    yield rows.filter((row) => !repeated.has(hashOf(row)) && isWithin(row, reading.span));
    for (const row of rows.filter((one) => repeated.has(hashOf(one)))) {
      const identity = identityOf(row);
      const known = first.get(identity);
      if (!known || compareRows(row, known) < 0) first.set(identity, row);
    }
    onSegment();
  }
  yield [...first.values()].filter((row) => isWithin(row, reading.span)).sort(compareRows);
}

const isWithin = ({ time }: LakeRow, { from, to }: LakeSpan) => time >= from && time < to;

async function segmentsOf({ store, span }: LakeReading): Promise<ManifestLine[]> {
  const lines: ManifestLine[] = [];
  for await (const { name } of store.list(MANIFEST)) {
    const segment = `${name.slice(MANIFEST.length, -".json".length)}.parquet`;
    const hour = parseHour(segment);
    if (hour === null || hour + HOUR_MS <= span.from || hour >= span.to) continue;
    const line = await readLine(store, segment);
    if (line === null) throw new LakeChanged(segment);
    lines.push(line);
  }
  return lines;
}

async function readIncluded({ store, includes }: LakeReading, line: ManifestLine): Promise<LakeRow[]> {
  const bytes = await store.get(line.segment);
  if (bytes === null) throw new LakeChanged(line.segment);
  return (await decodeSegment(checkedSegment(bytes, line))).filter(includes);
}

// The length makes the concatenation unambiguous.
const identityOf = ({ source, id }: LakeRow) => `${source.length}:${source}${id}`;

/** 52 bits: two identities that share them are told apart by their texts. */
const hashOf = (row: LakeRow) => Number.parseInt(hash("md5", identityOf(row), "hex").slice(0, 13), 16);

/** Eight bytes an event: a set of JavaScript's takes five times as much. */
class HashList {
  #values = new Float64Array(65_536);
  #length = 0;

  add(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  /** Values that were added more than once. */
  repeated(): Set<number> {
    const sorted = this.#values.subarray(0, this.#length).sort();
    const found = new Set<number>();
    for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) found.add(sorted[i] as number);
    return found;
  }
}
