import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Database } from "../../src/cold/database.ts";
import {
  type ColdSpan,
  keysCold,
  seriesCold,
  sketchesCold,
  sumCold,
  topCold,
  totalsCold,
} from "../../src/cold/reader.ts";
import { type CellRow, ColdStore } from "../../src/cold/store.ts";
import { describeOnDatabases } from "../support/databases.ts";
import { type OpenedDatabase, openDatabase } from "./open.ts";

/** Whatever is asked of random rows, a plain recount of those rows answers the same. */

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
const [GENERATION, PARTITIONS] = [7, 3];
const LONG = "long".repeat(300);
/** Keys: short ones, some with bytes that sort oddly, and long ones that begin alike further than the index looks. */
const KEYS = [
  ...Array.from({ length: 20 }, (_, i) => `${i}`),
  ...["", "a", "a\0b", "a\u0001", "ä", "é", "\u{1F600}", "\uFFFD", "zz"],
  ...Array.from({ length: 12 }, (_, i) => `${LONG}${(i * 7) % 12}`),
  ...[LONG.slice(0, 958), LONG.slice(0, 959), LONG.slice(0, 960), LONG.slice(0, 999), LONG.slice(0, 1_000), LONG],
];
const OWNERS = [..."to", ...KEYS.map((key) => `k${key}`)].map((text) => Buffer.from(text));

/** A generator of whole numbers below `n` that gives the same each time (mulberry32). */
function makeRandom(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** Rows of three days in two windows, some with corrections, and of another counter that must never be seen. */
function makeRows(): CellRow[] {
  const random = makeRandom(20150912);
  const rows = new Map<string, CellRow>();
  for (let i = 0; i < 6_000; i++) {
    const windowMs = random(2) === 0 ? MINUTE : HOUR;
    const row = {
      generation: GENERATION + (random(20) === 0 ? 1 : 0),
      windowMs,
      start: windowMs === HOUR ? random(72) * HOUR : random(3) * DAY + random(60) * MINUTE,
      owner: OWNERS[random(OWNERS.length)]!,
      partition: random(PARTITIONS),
      correction: random(10) === 0 ? 1 + random(2) : 0,
      count: BigInt(random(5)) * 10n ** BigInt(random(18)),
      micro: BigInt(random(2_000) - 1_000) * 10n ** BigInt(random(30)),
      sketch: random(3) === 0 ? null : Buffer.from(`HYLL${random(1_000)}`),
    };
    rows.set(`${row.generation} ${windowMs} ${row.start} ${row.owner} ${row.partition} ${row.correction}`, row);
  }
  return [...rows.values()];
}

function groupBy<K>(rows: readonly CellRow[], nameOf: (row: CellRow) => K): Map<K, CellRow[]> {
  const groups = new Map<K, CellRow[]>();
  for (const row of rows) groups.set(nameOf(row), [...(groups.get(nameOf(row)) ?? []), row]);
  return groups;
}

const span = fc
  .record({
    windowMs: fc.constantFrom(MINUTE, HOUR),
    ends: fc.tuple(fc.integer({ min: -2, max: 75 }), fc.integer({ min: -2, max: 75 })),
    partitions: fc.uniqueArray(fc.nat(PARTITIONS), { minLength: 1 }),
  })
  .map(({ windowMs, ends, partitions }): ColdSpan => {
    const [from, to] = ends.sort((a, b) => a - b).map((hour) => Math.max(0, hour * HOUR)) as [number, number];
    return { windowMs, from, to, partitions };
  });
const spans = fc.array(span, { minLength: 1, maxLength: 6 });
const owner = fc.constantFrom(...OWNERS);

describeOnDatabases((start) => {
  const rows = makeRows();
  let opened: OpenedDatabase;
  let database: Database;
  beforeAll(async () => {
    opened = await openDatabase(start);
    database = opened.database;
    await new ColdStore(database).insertCells(rows);
  });
  afterAll(() => opened.close());

  /** The rows of the spans, as often as they lie in one. */
  const rowsIn = (spans: readonly ColdSpan[]) =>
    spans.flatMap(({ windowMs, from, to, partitions }) =>
      rows.filter(
        (row) =>
          row.generation === GENERATION &&
          row.windowMs === windowMs &&
          row.start >= from &&
          row.start < to &&
          partitions.includes(row.partition),
      ),
    );
  const totalsOf = (rows: readonly CellRow[]) =>
    [...groupBy(rows, ({ owner }) => owner)].map(([owner, rows]) => ({
      owner,
      count: rows.reduce((sum, { count }) => sum + count, 0n),
      micro: rows.reduce((sum, { micro }) => sum + micro, 0n),
    }));
  const keysIn = (spans: readonly ColdSpan[]) => rowsIn(spans).filter(({ owner }) => owner[0] === 0x6b);
  const byBytes = (a: { owner: Buffer }, b: { owner: Buffer }) => Buffer.compare(a.owner, b.owner);
  const check = <T>(property: fc.IAsyncProperty<T>) => fc.assert(property, { numRuns: 25, seed: 7 });

  test("sums of owners", async () => {
    await check(
      fc.asyncProperty(spans, fc.uniqueArray(owner), async (spans, owners) => {
        const expected = totalsOf(rowsIn(spans).filter(({ owner }) => (owners as Buffer[]).includes(owner)));
        const found = await sumCold(database, GENERATION, owners, spans);
        expect(found).toEqual(new Map(expected.map(({ owner, ...total }) => [owner.toString("latin1"), total])));
      }),
    );
  });

  test("series of an owner", async () => {
    await check(
      fc.asyncProperty(spans, owner, async (spans, owner) => {
        const found = await seriesCold(database, GENERATION, owner, spans);
        const mine = groupBy(
          rowsIn(spans).filter((row) => row.owner === owner),
          ({ start }) => start,
        );
        const expected = [...mine].map(([start, rows]) => {
          const { count, micro } = totalsOf(rows)[0]!;
          return { start, count, micro };
        });
        const byStart = (a: { start: number }, b: { start: number }) => a.start - b.start;
        expect(found.sort(byStart)).toEqual(expected.sort(byStart));
      }),
    );
  });

  test("sketches of an owner", async () => {
    await check(
      fc.asyncProperty(spans, owner, async (spans, owner) => {
        const found = await sketchesCold(database, GENERATION, owner, spans);
        const text = ({ start, sketch }: { start: number; sketch: Buffer | null }) => `${start} ${sketch}`;
        const expected = rowsIn(spans).filter((row) => row.owner === owner && row.sketch !== null);
        expect(found.map(text).sort()).toEqual(expected.map(text).sort());
      }),
    );
  });

  test("the top keys, ties by their bytes", async () => {
    await check(
      fc.asyncProperty(spans, fc.integer({ min: 1, max: 60 }), fc.boolean(), async (spans, limit, bySum) => {
        const found = await topCold(database, GENERATION, spans, { limit, by: bySum ? "sum" : "count" });
        const measure = (total: { count: bigint; micro: bigint }) => (bySum ? total.micro : total.count);
        const descending = (a: bigint, b: bigint) => (a > b ? -1 : a < b ? 1 : 0);
        const expected = totalsOf(keysIn(spans)).sort((a, b) => descending(measure(a), measure(b)) || byBytes(a, b));
        expect(found).toEqual(expected.slice(0, limit));
      }),
    );
  });

  test("totals of all keys, page by page", async () => {
    await check(
      fc.asyncProperty(spans, fc.integer({ min: 3, max: 30 }), async (spans, limit) => {
        const found = [];
        for (let after: Buffer | null = null; ; after = found.at(-1)!.owner) {
          const page: Awaited<ReturnType<typeof totalsCold>> = await totalsCold(database, GENERATION, spans, {
            after,
            limit,
          });
          found.push(...page);
          if (page.length < limit) break;
        }
        expect(found.sort(byBytes)).toEqual(totalsOf(keysIn(spans)).sort(byBytes));
      }),
    );
  });

  test("keys that begin so, after another", async () => {
    const beginnings = fc.constantFrom("", "", "1", "a", "long", LONG.slice(0, 959), LONG.slice(0, 970), LONG, "zzz");
    const afters = fc.option(fc.constantFrom(...KEYS, "b", `${LONG}50`, LONG.slice(0, 965)));
    await check(
      fc.asyncProperty(spans, beginnings, afters, fc.integer({ min: 1, max: 40 }), async (spans, from, last, limit) => {
        const [prefix, after] = [Buffer.from(from), last === null ? null : Buffer.from(last)];
        const found = await keysCold(database, GENERATION, spans, { prefix, after, limit });
        const all = [...new Set(keysIn(spans).map(({ owner }) => owner))].map((owner) => owner.subarray(1));
        const expected = all
          .filter((key) => key.subarray(0, prefix.length).equals(prefix) && (!after || Buffer.compare(key, after) > 0))
          .sort(Buffer.compare);
        expect(found.sort(Buffer.compare)).toEqual(expected.slice(0, limit));
      }),
    );
  });
});
