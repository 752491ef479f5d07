import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitPayload } from "../../src/stream/suspect.ts";

describe("a payload is taken apart without being parsed", () => {
  test("into the same events that parsing finds", () => {
    fc.assert(
      fc.property(fc.array(fc.json({ maxDepth: 4 })), (texts) => {
        const payload = `[${texts.join(",")}]`;
        expect(splitPayload(payload)).toEqual(texts);
      }),
      { numRuns: 500 },
    );
  });

  test.each(["", "[", "]", "no json", '["]', '["a"][', '{"a":1}', '[["a"]', "[]]", '["\\"]'])(
    "%j: not at all",
    (text) => {
      expect(splitPayload(text)).toBeNull();
    },
  );

  test("however deeply it is nested", () => {
    const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
    expect(splitPayload(`[1,${deep}]`)).toEqual(["1", deep]);
  });
});
