import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Event, validateEvent } from "../../src/core/event.ts";
import { packEvent, packPayload, type ReceivedEvent, unpackPayload } from "../../src/core/packed.ts";

const identity = { fingerprint: "1", spread: 2 };
/** A value as counting sees it: −0, which JSON writes as 0, is 0. */
function told(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return `${typeof value} ${value}`;
  return Object.keys(value).map((key) => [key, told((value as Record<string, unknown>)[key])]);
}

describe("a validated event", () => {
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

  test("is what its stream entry says, whatever a client sends", () => {
    fc.assert(
      fc.property(json, (data) => {
        const value: unknown = JSON.parse(`{"id":"a","type":"t","subject":"s","data":{"x":${data}}}`);
        const event = validateEvent(value, 0, () => "") as Event;
        const [decoded] = unpackPayload(packPayload([packEvent(event, identity)])) as ReceivedEvent[];
        expect(told({ ...identity, ...event })).toEqual(told(decoded));
      }),
      { numRuns: 2_000 },
    );
  });
});
