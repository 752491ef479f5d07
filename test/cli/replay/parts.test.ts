import { InvalidArgumentError } from "commander";
import { expect, test } from "vitest";
import { parseSpeed } from "../../../src/cli/replay/command.ts";
import { findInputs, readLines } from "../../../src/cli/replay/input.ts";
import { systemClock } from "../../../src/cli/replay/io.ts";
import { LineSplitter } from "../../../src/cli/replay/line-splitter.ts";
import { prepareLine } from "../../../src/cli/replay/outgoing.ts";
import { defaultServiceUrl, parseServiceUrl } from "../../../src/cli/replay/url.ts";
import { DELAY_MS_MAX, parseRetryAfter, retryDelay } from "../../../src/client/backoff.ts";
import { temporaryFile, testIo } from "../helpers.ts";

const ID = "01HZZZZZZZZZZZZZZZZZZZZZZZ";
const prepare = (text: string) => prepareLine("f", 1, Buffer.from(text), () => ID);

test.each([
  ['{"type":"a"}', `{"type":"a","id":"${ID}"}`],
  ["{}", `{"id":"${ID}"}`],
  ["  { }\t\r", `  { "id":"${ID}"}\t\r`],
  ['{"id":null,"data":{"id":"inner"} }', `{"id":null,"data":{"id":"inner"} ,"id":"${ID}"}`],
  ['{ "type" : "é€" , "data":{"n":1.0e3}}', `{ "type" : "é€" , "data":{"n":1.0e3},"id":"${ID}"}`],
])("%s gets an id and stays as it is", (given, sent) => {
  expect(prepare(given).bytes.toString()).toBe(sent);
});

test.each(['{"type":"a","id":"x"}', '{"id":7}', '{"id":""}', "[1]", "12", "nonsense", '{"a":'])(
  "%s is sent as it is",
  (text) => {
    expect(prepare(text).bytes.toString()).toBe(text);
  },
);

test("the time of a line is its own, else that in its id", () => {
  expect(prepare('{"id":"x","time":"2024-01-01T00:00:00Z"}').time).toBe(Date.UTC(2024, 0));
  expect(prepare('{"time":5}').time).toBe(5);
  expect(prepare('{"id":"01HK153X00XXXXXXXXXXXXXXXX"}').time).toBe(Date.UTC(2024, 0));
  expect(prepare('{"id":"x"}').time).toBeNull();
  expect(prepare('{"id":"x","time":"yesterday"}').time).toBeNull();
  expect(prepare("?").time).toBeNull();
});

test("lines are found across chunks of any size, with their numbers", () => {
  const text = Buffer.from('one\n\n  \nfoür\r\n\u00a0\n"six"\n\nlast');
  for (let size = 1; size <= text.length; size++) {
    const splitter = new LineSplitter(100);
    const found = [];
    for (let i = 0; i < text.length; i += size) found.push(...splitter.push(text.subarray(i, i + size)));
    found.push(...splitter.end());
    expect(found.map(({ number, bytes }) => [number, bytes?.toString()])).toEqual([
      [1, "one"],
      [4, "foür\r"],
      [6, '"six"'],
      [8, "last"],
    ]);
  }
});

test("a line that is too long is counted and not kept", () => {
  const splitter = new LineSplitter(5);
  const found = [
    ...splitter.push(Buffer.from("12345\n123")),
    ...splitter.push(Buffer.from("456\nx\n")),
    ...splitter.end(),
  ];
  expect(found.map(({ number, bytes }) => [number, bytes?.toString() ?? null])).toEqual([
    [1, "12345"],
    [2, null],
    [3, "x"],
  ]);
});

test("a byte order mark is skipped and bytes are counted as read", async () => {
  const [input] = await findInputs([await temporaryFile("\ufeff{}\n[]")], testIo());
  const counts: number[] = [];
  const found: string[] = [];
  for await (const lines of readLines(input!, new AbortController().signal, (bytes) => counts.push(bytes))) {
    found.push(...lines.map(({ bytes }) => String(bytes)));
  }
  expect(found).toEqual(["{}", "[]"]);
  expect(counts).toEqual([8]);
  expect(input?.bytes).toBe(8);
});

test("delays grow to their cap, are drawn at random, and respect what the service asks", () => {
  for (let attempt = 1; attempt < 40; attempt++) {
    const full = Math.min(DELAY_MS_MAX, 100 * 2 ** (attempt - 1));
    const delay = retryDelay(attempt, null);
    expect(delay).toBeGreaterThanOrEqual(full / 2);
    expect(delay).toBeLessThanOrEqual(full);
  }
  expect(retryDelay(1, 60_000)).toBeGreaterThanOrEqual(60_000);
  expect(retryDelay(30, 1_000)).toBeGreaterThanOrEqual(5_000);
});

test("Retry-After is seconds or a date", () => {
  expect(parseRetryAfter("2", 0)).toBe(2_000);
  expect(parseRetryAfter("Thu, 01 Jan 1970 00:01:00 GMT", 10_000)).toBe(50_000);
  expect(parseRetryAfter("Thu, 01 Jan 1970 00:00:01 GMT", 10_000)).toBe(0);
  expect(parseRetryAfter("soon", 0)).toBeNull();
  expect(parseRetryAfter(null, 0)).toBeNull();
});

test("speeds", () => {
  expect(parseSpeed("max")).toBe("max");
  expect(parseSpeed("0.5")).toBe(0.5);
  for (const text of ["0", "-1", "fast", "", "Infinity"]) expect(() => parseSpeed(text)).toThrow(InvalidArgumentError);
});

test("addresses", () => {
  expect(defaultServiceUrl({})).toBe("http://127.0.0.1:8080");
  expect(defaultServiceUrl({ TALLYMARK_PORT: "9000" })).toBe("http://127.0.0.1:9000");
  expect(parseServiceUrl("https://example.org/tally/")).toBe("https://example.org/tally");
});

test("the system's clock waits however long, until it is told to stop", async () => {
  const controller = new AbortController();
  let over = false;
  const wait = systemClock.sleep(1e15, controller.signal).then(() => {
    over = true;
  });
  // A timer that overflowed would fire after a millisecond.
  await systemClock.sleep(5, controller.signal);
  expect(over).toBe(false);
  controller.abort();
  await wait;
});
