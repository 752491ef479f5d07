import { decodeTime, ulid } from "ulid";
import type { Metrics } from "../metrics.ts";
import { checkedSegment, manifestNameOf, parseHour, putSegment, readLine } from "./manifest.ts";
import { compareRows, type LakeRow, withoutRepeats } from "./rows.ts";
import { decodeSegment } from "./segment.ts";
import { type LakeStore, SEGMENT_SUFFIX, type StoredFile } from "./store.ts";

/** A smaller segment is merged with others of its hour, bytes, once there are so many of them. */
const SMALL_BYTES = 4 * 1024 * 1024;
const SMALL_MANY = 8;
/** Rows lie in memory while they are merged. */
const MERGED_ROWS_MAX = 250_000;
/** A segment without a line of the manifest may get one yet, until it is so old, ms. */
const UNVOUCHED_MS = 3_600_000;
const HOUR_MS = 3_600_000;

export interface TidyDependencies {
  readonly store: LakeStore;
  /** By event time, ms; `null`: for ever. */
  readonly keepMs: number | null;
  readonly metrics: Metrics;
}

/**
 * Drops what is past its time, and merges small segments. The merged segment is there before the first of its sources
 * goes, so that whoever is killed in between leaves repeats, which the next one drops. So do two at once.
 */
export class LakeTidier {
  readonly #deps: TidyDependencies;

  constructor(deps: TidyDependencies) {
    this.#deps = deps;
  }

  /** @param now epoch ms */
  async run(now: number): Promise<void> {
    const { store } = this.#deps;
    await store.sweep();
    for await (const { start, segments } of hoursOf(store)) await this.#tidyHour(start, segments, now);
  }

  async #tidyHour(start: number, segments: readonly StoredFile[], now: number): Promise<void> {
    const { keepMs, metrics } = this.#deps;
    if (keepMs !== null && start + HOUR_MS <= now - keepMs) {
      for (const { name } of segments) await this.#remove(name);
      metrics.lakeSegmentsDropped.inc(segments.length);
      return;
    }
    const small = segments.filter(({ bytes }) => bytes < SMALL_BYTES);
    if (small.length < SMALL_MANY) return;
    for (let from = 0; from < small.length; ) from += await this.#merge(small.slice(from), now);
  }

  /** Merges the first of the segments, as many as fit into one, and answers how many that was. */
  async #merge(segments: readonly StoredFile[], now: number): Promise<number> {
    const { store, metrics } = this.#deps;
    const rows: LakeRow[] = [];
    const sources: string[] = [];
    let seen = 0;
    for (const { name } of segments) {
      if (rows.length >= MERGED_ROWS_MAX) break;
      seen++;
      const read = await this.#read(name, now);
      if (read === null) continue;
      rows.push(...read);
      sources.push(name);
    }
    if (sources.length < 2) return seen;
    const directory = (sources[0] as string).replace(/[^/]+$/, "");
    await putSegment(store, `${directory}${ulid(now)}${SEGMENT_SUFFIX}`, withoutRepeats(rows.sort(compareRows)));
    for (const name of sources) await this.#remove(name);
    metrics.lakeSegmentsMerged.inc(sources.length);
    return seen;
  }

  /** Rows of a segment; `null` while it may not be touched, or when somebody else has merged it. */
  async #read(name: string, now: number): Promise<LakeRow[] | null> {
    const { store } = this.#deps;
    const line = await readLine(store, name);
    const madeAt = decodeTime(name.slice(name.lastIndexOf("/") + 1, -SEGMENT_SUFFIX.length));
    if (line === null && now - madeAt < UNVOUCHED_MS) return null;
    const bytes = await store.get(name);
    if (bytes === null) return null;
    return decodeSegment(line ? checkedSegment(bytes, line) : bytes);
  }

  /** Its line goes first: a segment without one is a repeat, a line without its segment would be a loss. */
  async #remove(name: string): Promise<void> {
    await this.#deps.store.remove(manifestNameOf(name));
    await this.#deps.store.remove(name);
  }
}

interface Hour {
  readonly start: number;
  readonly segments: StoredFile[];
}

/** Segments of the lake, hour by hour. */
async function* hoursOf(store: LakeStore): AsyncGenerator<Hour> {
  const hours: Hour[] = [];
  for await (const file of store.list("")) {
    const start = parseHour(file.name);
    if (start === null) continue;
    if (hours.at(-1)?.start !== start) {
      yield* hours.splice(0);
      hours.push({ start, segments: [] });
    }
    hours.at(-1)?.segments.push(file);
  }
  yield* hours;
}
