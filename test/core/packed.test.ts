import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Event, validateEvent } from "../../src/core/event.ts";
import { EVENT_BYTES_MAX } from "../../src/core/limits.ts";
import {
  type IdentifiedEvent,
  isTooLarge,
  packColumns,
  packEvent,
  packPayload,
  unpackPayload,
} from "../../src/core/packed.ts";
import { splitPayload } from "../../src/stream/suspect.ts";

/** A value as counting sees it: −0, which JSON writes as 0, is 0. */
function told(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return `${typeof value} ${value}`;
  if (Array.isArray(value)) return value.map(told);
  return Object.keys(value).map((key) => [key, told((value as Record<string, unknown>)[key])]);
}

const packRows = (events: readonly IdentifiedEvent[]) =>
  packPayload(events.map(({ event, identity }) => packEvent(event, identity)));

/** Few different values, so that many events have all in common. */
const identity = fc.record({ fingerprint: fc.constantFrom("1", "-92"), spread: fc.constantFrom(0, 4_294_967_295) });

describe("validated events", () => {
  /** JSON as clients write it: numbers may be beyond a double's range, keys may be anything. */
  const number = fc.constantFrom("1e999", "-1e999", "-0", "0.1", "1E+2", "9007199254740993");
  const json = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      number,
      fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
      fc.constantFrom("true", "null", '"__proto__"'),
      fc.array(tie("value"), { maxLength: 3 }).map((values) => `[${values.join(",")}]`),
      fc
        .array(fc.tuple(fc.constantFrom("a", "b", "__proto__", "toJSON", "constructor"), tie("value")), {
          maxLength: 3,
        })
        .map((members) => `{${members.map(([key, value]) => `"${key}":${value}`).join(",")}}`),
    ),
  })).value;

  const field = fc.constantFrom("a", 'é[,"', "{}");
  const event = fc
    .record({
      id: field,
      source: field,
      type: field,
      subject: fc.option(field),
      time: fc.constantFrom(null, 0, 7, 2e12),
    })
    .chain((fields) => fc.tuple(fc.constant(fields), fc.option(json)))
    .map(([fields, data]) => {
      const text = `${JSON.stringify({ ...fields, data: null }).slice(0, -5)}${data === null ? "null" : `{"x":${data}}`}}`;
      return validateEvent(JSON.parse(text), 2e12, () => "") as Event;
    });
  const events = fc.array(fc.record({ event, identity }), { minLength: 1, maxLength: 5 });

  test.each([
    ["columns", packColumns],
    ["rows", packRows],
  ])("are what their stream entry says in %s, whatever a client sends", (_, pack) => {
    fc.assert(
      fc.property(events, (sent) => {
        const received = unpackPayload(pack(sent));
        expect(told(received)).toEqual(told(sent.map(({ event, identity }) => ({ ...identity, ...event }))));
      }),
      { numRuns: 2_000 },
    );
  });

  test("are split without being parsed into rows that say the same", () => {
    fc.assert(
      fc.property(events, (sent) => {
        const rows = splitPayload(packColumns(sent)) as string[];
        expect(told(unpackPayload(packPayload(rows)))).toEqual(told(unpackPayload(packColumns(sent))));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("columns that nobody has packed", () => {
  const good = { fingerprints: ["1", "2"], spreads: [3, 4], ids: ["a", "b"], base: 5, times: [0, 1], data: null };
  const columns = (change: Partial<Record<keyof typeof good, unknown>>) => {
    const { fingerprints, spreads, ids, base, times, data } = { ...good, ...change };
    return JSON.stringify({ columns: [fingerprints, spreads, ids, "", "t", base, times, null, data] });
  };
  const second = { fingerprint: "2", spread: 4, id: "b", source: "", type: "t", time: 6, subject: null, data: null };

  test("are events as far as they can be read", () => {
    expect(unpackPayload(columns({}))).toMatchObject([{ id: "a", time: 5 }, second]);
    expect(unpackPayload(columns({ ids: [1, "b"] }))).toEqual([
      { fault: "lacks a field", payload: '[["1",3,1,"","t",5,null,null]]' },
      second,
    ]);
  });

  test.each([
    [{ ids: ["a"] }, "lacks a field"],
    [{ fingerprints: ["1", 2] }, "has no fingerprint"],
    [{ spreads: [3, 0.5] }, "has no spread"],
    [{ times: [0, true] }, "has no valid time"],
    [{ times: [0, -6] }, "has no valid time"],
    [{ base: "5" }, "has no valid time"],
    [{ data: [null, [1]] }, "has no valid data"],
  ])("%j: the second one %s", (change, fault) => {
    expect(unpackPayload(columns(change))?.[1]).toMatchObject({ fault });
  });

  test.each([{}, { columns: 1 }, { columns: [[]] }, { columns: ["1", 2, "a", "", "t", 0, 0, null, null] }])(
    "%j: no events at all",
    (payload) => {
      expect(unpackPayload(JSON.stringify(payload))).toBeNull();
    },
  );
});

test("an event is too large by what its row takes, however that is found out", () => {
  const unit = fc.constantFrom("x", "é", "\u0000", "😀");
  const sizes = fc.oneof(fc.constantFrom(10_880, 10_900, 16_300, 32_700, 65_000, 65_440), fc.nat(70_000));
  const text = fc.tuple(unit, sizes).map(([one, size]) => one.repeat(size));
  const data = fc.oneof(
    text.map((x) => ({ x })),
    text.map((x) => ({ [x]: 1, y: [x.slice(0, 9)] })),
    fc.nat(4_000).map((n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`n${i}`, -1 / 3e300]))),
  );
  fc.assert(
    fc.property(data, (data) => {
      const event: Event = { id: "i", source: "", type: "t", time: 2e12, subject: null, data };
      const identity = { fingerprint: "-9223372036854775808", spread: 4_294_967_295 };
      expect(isTooLarge(event, identity)).toBe(Buffer.byteLength(packEvent(event, identity)) > EVENT_BYTES_MAX);
    }),
    { numRuns: 500 },
  );
});
