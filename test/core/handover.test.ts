import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Event, validateEvent } from "../../src/core/event.ts";
import { Handover } from "../../src/core/handover.ts";
import { packEvent, packPayload, type ReceivedEvent, unpackPayload } from "../../src/core/packed.ts";

const identity = { fingerprint: "1", spread: 2 };
const received = (id: string): ReceivedEvent => {
  return { event: { id, source: "", type: "t", time: null, subject: null, data: null }, identity };
};
const some = (count: number) => Array.from({ length: count }, (_, i) => received(`${i}`));

/** A value as counting sees it: −0, which JSON writes as 0, is 0. */
function told(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return `${typeof value} ${value}`;
  return Object.keys(value).map((key) => [key, told((value as Record<string, unknown>)[key])]);
}

describe("what is handed over", () => {
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

  test("is what the stream entry says, whatever a client sends", () => {
    fc.assert(
      fc.property(json, (data) => {
        const value: unknown = JSON.parse(`{"id":"a","type":"t","subject":"s","data":{"x":${data}}}`);
        const event = validateEvent(value, 0, () => "") as Event;
        const [decoded] = unpackPayload(packPayload([packEvent(event, identity)])) as ReceivedEvent[];
        expect(told(decoded?.event)).toEqual(told(event));
      }),
      { numRuns: 2_000 },
    );
  });

  test("is given out once", () => {
    const handover = new Handover("p");
    const events = some(3);
    const name = handover.hold(events);
    expect(handover.take(name)).toBe(events);
    expect(handover.take(name)).toBeNull();
    expect(handover.take("")).toBeNull();
  });

  test("is not mixed up with what another process holds", () => {
    const name = new Handover("p").hold(some(1));
    const other = new Handover("q");
    other.hold(some(1));
    expect(other.take(name)).toBeNull();
  });

  test("is bounded: what was held longest goes first", () => {
    const handover = new Handover("p");
    const names = Array.from({ length: 30 }, () => handover.hold(some(1_000)));
    expect(names.map((name) => handover.take(name)?.length ?? 0)).toEqual([
      ...Array.from({ length: 10 }, () => 0),
      ...Array.from({ length: 20 }, () => 1_000),
    ]);
  });
});
